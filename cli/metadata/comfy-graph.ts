/**
 * @file ComfyUI's `prompt` chunk: the graph that was run, `{ id: { class_type, inputs } }`, where an input is a value or a link
 * `[id, output]`. Looked at as data: links may lead nowhere or in circles.
 */

import { listOf, member, members, parseJson, textOf } from "./json.ts";

export interface ComfyNode {
  readonly id: string;
  readonly type: string;
  readonly inputs: ReadonlyMap<string, unknown>;
}

const mostNodes = 20_000;

export class ComfyGraph {
  readonly nodes: ReadonlyMap<string, ComfyNode>;
  /** Nodes whose kind is not known, by id. */
  readonly #strange = new Map<string, string>();

  constructor(nodes: ReadonlyMap<string, ComfyNode>) {
    this.nodes = nodes;
  }

  /** Undefined where the text is no graph. */
  static parse(text: string): ComfyGraph | undefined {
    const nodes = members(parseJson(text))
      .slice(0, mostNodes)
      .flatMap(([id, value]) => {
        const type = textOf(member(value, "class_type"));
        return type === undefined ? [] : [[id, { id, type, inputs: new Map(members(member(value, "inputs"))) }] as const];
      });
    return nodes.length === 0 ? undefined : new ComfyGraph(new Map(nodes));
  }

  ofType(...types: readonly string[]): ComfyNode[] {
    return [...this.nodes.values()].filter(({ type }) => types.includes(type));
  }

  /** The node at the other end of a link. */
  linked(node: ComfyNode | undefined, input: string): ComfyNode | undefined {
    const link = node?.inputs.get(input);
    const [id] = listOf(link);
    return typeof id === "string" || typeof id === "number" ? this.nodes.get(String(id)) : undefined;
  }

  /** An input's value; through a link, what a node that only holds a value holds. */
  value(node: ComfyNode | undefined, input: string): unknown {
    const given = node?.inputs.get(input);
    if (!Array.isArray(given)) return given;
    let holder = this.linked(node, input);
    for (let hops = 0; holder && hops < 16; hops++) {
      const name = valueInputs.find((candidate) => holder?.inputs.has(candidate));
      if (name === undefined) break;
      const value = holder.inputs.get(name);
      if (!Array.isArray(value)) return value;
      holder = this.linked(holder, name);
    }
    if (holder) this.strange(holder);
    return undefined;
  }

  /**
   * Walks upstream along `input` from a node, from each node on by the first of `inputs` that it has a link in. Every node is
   * met once, so circles end.
   */
  *upstream(node: ComfyNode | undefined, input: string, inputs: readonly string[]): Generator<ComfyNode> {
    const met = new Set<string>();
    let next = this.linked(node, input);
    while (next && !met.has(next.id)) {
      met.add(next.id);
      yield next;
      const at: ComfyNode = next;
      const by = inputs.find((name) => this.linked(at, name));
      next = by === undefined ? undefined : this.linked(at, by);
    }
  }

  strange({ id, type }: ComfyNode): void {
    this.#strange.set(id, type);
  }

  /** "node 12 (FreeU_V2)" of every node that was in the way and not understood. */
  get notUnderstood(): string[] {
    return [...this.#strange].map(([id, type]) => `node ${id} (${type})`);
  }
}

/** Where nodes that hold one value hold it. */
const valueInputs = ["value", "text", "string", "seed", "noise_seed", "int", "float", "number", ""];
