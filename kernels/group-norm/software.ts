/**
 * @file Group-norm for software adapters: a subgroup has a whole group of a sample, in one launch. No barriers,
 * which take such an adapter's compiler longer than all else in a kernel (group-norm/whole on lavapipe: half a second), and one
 * pipeline for everything, as each costs more to compile than it ever runs.
 */
import { defineKernel } from "../../engine/index.ts";
import { silu } from "../snippets.ts";
import { ticketBuffer, ticketMain, ticketUniforms } from "../tickets.ts";
import { input4, inputBuffers, inputFlags, inputUniforms } from "./input.ts";

/**
 * A tile is a group of a sample. `width` vectors a group; LANES (4 or 8) is the size of a subgroup and of a workgroup, `across` how many
 * lanes stand side by side in a pixel, a power of two that divides `width`: so neighbours share cache lines, and a lane's channels
 * are the same in every pixel.
 * x is read twice. A lane's first pass is of distances from a number of the first vector it sees, so that a large mean cancels nothing
 * (from one in the middle, as one that lies far from all others would leave nothing of the variance), in parts, so that many pixels
 * don't; lanes are merged as by Chan, Golub and LeVeque (1983).
 */
export const groupNormSoftware = defineKernel({
  name: "group-norm",
  rung: "software",
  features: ["subgroups"],
  buffers: {
    ...inputBuffers,
    gain: { access: "read", type: "f32", vec: 4 },
    shift: { access: "read", type: "f32", vec: 4 },
    y: { access: "write", vec: 4 },
    ...ticketBuffer,
  },
  uniforms: {
    pixels: "u32",
    ...inputUniforms,
    groups: "u32",
    width: "u32",
    across: "u32",
    eps: "f32",
    silu: "u32",
    ...ticketUniforms,
  },
  flags: inputFlags,
  tunables: { LANES: 8, PART: 512 },
  snippets: [ticketMain, silu, input4],
  wgsl: /* wgsl */ `
    // Sum of one number of each lane, the same in all of them.
    fn total(value: f32) -> f32 {
      var sum = value;
      for (var step = LANES / 2u; step > 0u; step /= 2u) { sum += subgroupShuffleXor(sum, step); }
      return sum;
    }

    fn compute_tile(tile: u32, lane: u32) {
      let group = tile % uniforms.groups;
      let sample = tile / uniforms.groups;
      let first = group * uniforms.width + lane % uniforms.across;
      let last = first + uniforms.width;
      let begin = sample * uniforms.pixels + lane / uniforms.across;
      let end = (sample + 1u) * uniforms.pixels;
      let step = LANES / uniforms.across;

      var origin = 0.0;
      var sum = vec4f();
      var squares = vec4f();
      var count = 0.0;
      for (var quad = first; quad < last; quad += uniforms.across) {
        for (var part = begin; part < end; part += PART * step) {
          var part_sum = vec4f();
          var part_squares = vec4f();
          for (var pixel = part; pixel < min(part + PART * step, end); pixel += step) {
            let value = input4(pixel, quad);
            origin = select(origin, max(min(value.x, value.y), min(value.z, value.w)), count == 0.0);
            let distance = value - origin;
            part_sum += distance;
            part_squares += distance * distance;
            count += 1.0;
          }
          sum += part_sum;
          squares += part_squares;
        }
      }
      let numbers = f32(4u * uniforms.pixels * uniforms.width);
      let mean_distance = sum / max(count, 1.0);                      // a lane may have had no pixel
      let mean = total(dot(origin + mean_distance, vec4f(count))) / numbers;
      let offset = origin + mean_distance - mean;
      let distances = squares - sum * mean_distance + offset * offset * count;
      let inverse_deviation = inverseSqrt(total(dot(distances, vec4f(1.0))) / numbers + uniforms.eps);

      for (var quad = first; quad < last; quad += uniforms.across) {
        let factor = inverse_deviation * gain[quad];
        let summand = shift[quad] - mean * factor;
        for (var pixel = begin; pixel < end; pixel += step) {
          var value = input4(pixel, quad) * factor + summand;
          if (uniforms.silu != 0u) { value = silu4(value); }           // not a flag: see above
          y[pixel * uniforms.quads + quad] = Element4(value);
        }
      }
    }`,
});
