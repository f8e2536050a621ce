import { describe, expect, it } from "vitest";
import { formatParameters, type Parameters } from "../../cli/parameters.ts";

const plain: Parameters = {
  prompt: "a red fox",
  negative: "",
  steps: 20,
  sampler: "DPM++ 2M",
  schedule: "Karras",
  guidance: 7,
  seed: 3n,
  width: 512,
  height: 768,
  version: "0.1.0",
};

describe("parameters text", () => {
  it("has A1111's order", () => {
    const hash = "6ce0161689b3853acaa03779ec93eafe75a02f4ced659bee03f50797806fa2fa";
    const text = formatParameters({
      ...plain,
      negative: "blurry",
      modelHash: hash,
      model: "v1-5-pruned",
      vaeHash: hash,
      vae: "kl.safetensors",
      eta: 0.5,
    });
    expect(text).toBe(
      "a red fox\nNegative prompt: blurry\n" +
        "Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7, Seed: 3, Size: 512x768, Model hash: 6ce0161689, " +
        "Model: v1-5-pruned, VAE hash: 6ce0161689, VAE: kl.safetensors, RNG: CPU, Eta: 0.5, Version: limn 0.1.0",
    );
  });

  it("leaves out what there is not", () => {
    expect(formatParameters({ ...plain, schedule: undefined })).toBe(
      "a red fox\nSteps: 20, Sampler: DPM++ 2M, CFG scale: 7, Seed: 3, Size: 512x768, RNG: CPU, Version: limn 0.1.0",
    );
  });

  it("keeps a prompt of several lines and seeds above 2^53", () => {
    const text = formatParameters({ ...plain, prompt: "a\nb", seed: 18446744073709551615n });
    expect(text.startsWith("a\nb\nSteps: 20")).toBe(true);
    expect(text).toContain("Seed: 18446744073709551615,");
  });

  it("quotes values with separators as JSON", () => {
    expect(formatParameters({ ...plain, model: 'a, "b": c' })).toContain('Model: "a, \\"b\\": c", RNG');
  });
});
