import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    pool: "forks",
    // Two cores and one software driver: more workers only take turns.
    maxWorkers: 2,
    // What tells this run from others: test/cli/limn.ts builds dist/ once a run.
    env: { LIMN_TEST_RUN: `${process.pid} ${Date.now()}` },
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
