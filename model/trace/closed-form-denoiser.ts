/**
 * @file A denoiser with a formula in the place of the U-Net: eps(x, t) = a sin(b x + 0.01 t). The originals' samplers were recorded
 * on it. The sine is taken on the CPU in double precision, as WGSL's is only good to 2^-11; so every call reads x back.
 */

import type { Device, Tensor } from "../../engine/index.ts";
import { denoisedFrom, epsFrom, inputScale, x0From } from "../denoiser/parameterisation.ts";
import type { NoiseSchedule } from "../sampling/noise-schedule.ts";
import type { BothDenoised, Denoiser, NoiseLevel } from "../sampling/sampler.ts";

export interface ClosedForm {
  readonly a: number;
  readonly b: number;
  /** What the formula's result is taken for. */
  readonly prediction: "eps" | "v";
  /** `denoise` asks at the nearest whole timestep. */
  readonly wholeTimesteps?: boolean;
}

export class ClosedFormDenoiser implements Denoiser {
  /** The timesteps asked for so far. */
  readonly timesteps: number[] = [];
  readonly #device: Device;
  readonly #schedule: NoiseSchedule;
  readonly #form: ClosedForm;
  #output: Tensor | undefined;

  constructor(device: Device, schedule: NoiseSchedule, form: ClosedForm) {
    this.#device = device;
    this.#schedule = schedule;
    this.#form = form;
  }

  async denoise(x: Tensor, sigma: number): Promise<Tensor> {
    const cIn = inputScale(sigma);
    const exact = this.#schedule.sigmaToTimestep(sigma);
    const timestep = this.#form.wholeTimesteps ? Math.round(exact) : exact;
    const [ofX, ofOut] = denoisedFrom(this.#form.prediction, sigma);
    return await this.#answer(x, timestep, (value) => ofX * value + ofOut * this.#out(value * cIn, timestep));
  }

  /** There is no prompt to guide with, so both are the same. */
  async denoiseBoth(x: Tensor, sigma: number): Promise<BothDenoised> {
    const guided = await this.denoise(x, sigma);
    return { guided, negative: guided };
  }

  async eps(x: Tensor, { timestep, alphaBar }: NoiseLevel): Promise<Tensor> {
    const [ofX, ofOut] = epsFrom(this.#form.prediction, alphaBar);
    return await this.#answer(x, timestep, (value) => ofX * value + ofOut * this.#out(value, timestep));
  }

  async x0(x: Tensor, { timestep, alphaBar }: NoiseLevel): Promise<Tensor> {
    const [ofX, ofOut] = x0From(this.#form.prediction, alphaBar);
    return await this.#answer(x, timestep, (value) => ofX * value + ofOut * this.#out(value, timestep));
  }

  free(): void {
    this.#output?.free();
    this.#output = undefined;
  }

  #out(input: number, timestep: number): number {
    return this.#form.a * Math.sin(this.#form.b * input + 0.01 * timestep);
  }

  async #answer(x: Tensor, timestep: number, formula: (value: number) => number): Promise<Tensor> {
    this.timesteps.push(timestep);
    const values = (await x.read()).map(formula);
    this.free();
    this.#output = this.#device.upload(values, x.shape);
    return this.#output;
  }
}
