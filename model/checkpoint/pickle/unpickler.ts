/**
 * @file Python's pickle machine (`Lib/pickle.py`, protocols 2 to 5), as far as torch.save needs it, with nothing to call: a global
 * is a name, a call makes what rebuild.ts knows or an object that does nothing. Bounded in time and memory by the limits below.
 */
import { ByteReader } from "./bytes.ts";
import { damaged, refuse } from "./failure.ts";
import { runsCode } from "./globals.ts";
import { PickleDict, PickleGlobal, PickleList, PickleObject, type PickleValue } from "./objects.ts";
import { call, persistent } from "./rebuild.ts";
import { limits, PickleStack } from "./stack.ts";

/** One pickle from `at` on; gives its value and where it ends. @throws ModelFileError PICKLE_*; OutOfBytes where the bytes end first */
export function unpickle(bytes: Uint8Array, file: string, at = 0): { value: PickleValue; end: number } {
  const machine = new Unpickler(new ByteReader(bytes, file, at), file);
  return machine.run();
}

class Unpickler {
  readonly #reader: ByteReader;
  readonly #file: string;
  readonly #stack: PickleStack;
  readonly #globals = new Map<string, PickleGlobal>();
  /** Items that calls have put into new dicts and lists so far: each call may copy all that was made before it. */
  #copied = 0;

  constructor(reader: ByteReader, file: string) {
    this.#reader = reader;
    this.#file = file;
    this.#stack = new PickleStack(reader, file);
  }

  run(): { value: PickleValue; end: number } {
    for (let count = 0; count < limits.opcodes; count++) {
      const at = this.#reader.at;
      const opcode = this.#reader.byte();
      if (opcode === 0x2e) return { value: this.#stack.pop(), end: this.#reader.at }; // STOP
      if (!(this.#literal(opcode) || this.#container(opcode) || this.#object(opcode))) {
        const code = `0x${opcode.toString(16).padStart(2, "0")}`;
        refuse("PICKLE_FORMAT", this.#file, `pickle, byte ${at}: opcode ${code} is none that torch.save writes`, damaged, {
          byte: at,
        });
      }
    }
    return refuse("PICKLE_TOO_LARGE", this.#file, `a pickle of more than ${limits.opcodes} opcodes`, damaged);
  }

  /** Numbers, strings, and what has no effect. */
  #literal(opcode: number): boolean {
    const r = this.#reader;
    switch (opcode) {
      case 0x80: // PROTO
        r.byte();
        return true;
      case 0x95: // FRAME
        r.u64();
        return true;
      case 0x4e: // NONE
        return this.#stack.push(null);
      case 0x88: // NEWTRUE
        return this.#stack.push(true);
      case 0x89: // NEWFALSE
        return this.#stack.push(false);
      case 0x4a: // BININT
        return this.#stack.push(r.i32());
      case 0x4b: // BININT1
        return this.#stack.push(r.byte());
      case 0x4d: // BININT2
        return this.#stack.push(r.u16());
      case 0x8a: // LONG1
        return this.#stack.push(r.integer(r.byte()));
      case 0x8b: // LONG4
        return this.#stack.push(r.integer(this.#atMost(limits.integerBytes, r.u32())));
      case 0x47: // BINFLOAT
        return this.#stack.push(r.f64());
      case 0x58: // BINUNICODE
      case 0x54: // BINSTRING (Python 2)
        return this.#stack.push(r.text(r.u32()));
      case 0x8c: // SHORT_BINUNICODE
      case 0x55: // SHORT_BINSTRING
        return this.#stack.push(r.text(r.byte()));
      case 0x8d: // BINUNICODE8
        return this.#stack.push(r.text(r.u64()));
      case 0x42: // BINBYTES
        return this.#stack.push(r.take(r.u32()));
      case 0x43: // SHORT_BINBYTES
        return this.#stack.push(r.take(r.byte()));
      case 0x8e: // BINBYTES8
      case 0x96: // BYTEARRAY8
        return this.#stack.push(r.take(r.u64()));
      default:
        return false;
    }
  }

  /** The stack, the memo, and containers. */
  #container(opcode: number): boolean {
    switch (opcode) {
      case 0x28: // MARK
        return this.#stack.mark();
      case 0x30: // POP
        this.#stack.drop();
        return true;
      case 0x31: // POP_MARK
        this.#stack.popMark();
        return true;
      case 0x32: // DUP
        return this.#stack.push(this.#stack.top());
      case 0x71: // BINPUT
        return this.#stack.remember(this.#reader.byte());
      case 0x72: // LONG_BINPUT
        return this.#stack.remember(this.#reader.u32());
      case 0x94: // MEMOIZE
        return this.#stack.remember();
      case 0x68: // BINGET
        return this.#stack.recall(this.#reader.byte());
      case 0x6a: // LONG_BINGET
        return this.#stack.recall(this.#reader.u32());
      case 0x7d: // EMPTY_DICT
        return this.#stack.push(new PickleDict());
      case 0x5d: // EMPTY_LIST
      case 0x29: // EMPTY_TUPLE
      case 0x8f: // EMPTY_SET
        return this.#stack.push(new PickleList());
      case 0x74: // TUPLE
      case 0x6c: // LIST
      case 0x91: // FROZENSET
        return this.#stack.push(new PickleList(this.#stack.popMark()));
      case 0x85: // TUPLE1
      case 0x86: // TUPLE2
      case 0x87: // TUPLE3
        return this.#stack.push(new PickleList(this.#stack.popMany(opcode - 0x84)));
      case 0x64: // DICT
        return this.#stack.push(this.#filled(new PickleDict(), this.#stack.popMark()));
      case 0x73: // SETITEM
        return this.#fill(this.#stack.popMany(2));
      case 0x75: // SETITEMS
        return this.#fill(this.#stack.popMark());
      case 0x61: // APPEND
        return this.#append(this.#stack.popMany(1));
      case 0x65: // APPENDS
      case 0x90: // ADDITEMS
        return this.#append(this.#stack.popMark());
      default:
        return false;
    }
  }

  /** Globals, and calls of them. */
  #object(opcode: number): boolean {
    switch (opcode) {
      case 0x63: // GLOBAL
        return this.#stack.push(this.#global(this.#reader.line(), this.#reader.line()));
      case 0x93: {
        // STACK_GLOBAL
        const [module, name] = this.#stack.popMany(2);
        if (typeof module === "string" && typeof name === "string") return this.#stack.push(this.#global(module, name));
        return refuse("PICKLE_FORMAT", this.#file, "pickle: a global whose name is not text", damaged);
      }
      case 0x52: // REDUCE
      case 0x81: {
        // NEWOBJ
        const [callee, args] = this.#stack.popMany(2);
        return this.#call(callee!, args);
      }
      case 0x92: {
        // NEWOBJ_EX
        const [callee, args] = this.#stack.popMany(3);
        return this.#call(callee!, args);
      }
      case 0x62: {
        // BUILD: attributes of a dict (`_metadata` of a state dict) or of a tensor don't matter
        const state = this.#stack.pop();
        const object = this.#stack.top();
        if (object instanceof PickleObject) object.state = state;
        return true;
      }
      case 0x51: // BINPERSID
        return this.#stack.push(persistent(this.#file, this.#stack.pop()));
      case 0x69: {
        // INST, which Python 2 wrote for objects of old classes
        const made = this.#global(this.#reader.line(), this.#reader.line());
        this.#stack.popMark();
        return this.#stack.push(new PickleObject(made.path));
      }
      default:
        return false;
    }
  }

  #call(callee: PickleValue, args: PickleValue | undefined): true {
    const made = call(this.#file, callee, args instanceof PickleList ? args.items : []);
    if (made instanceof PickleDict) this.#copied += made.entries.size;
    else if (made instanceof PickleList) this.#copied += made.items.length;
    if (this.#copied > limits.copied)
      refuse("PICKLE_TOO_LARGE", this.#file, `a pickle that copies more than ${limits.copied} values`, damaged);
    return this.#stack.push(made);
  }

  #global(module: string, name: string): PickleGlobal {
    const key = `${module}\n${name}`;
    const known = this.#globals.get(key);
    if (known) return known;
    const made = new PickleGlobal(module, name);
    if (runsCode(module, name)) {
      refuse(
        "PICKLE_CODE",
        this.#file,
        `it asks for ${made.path}, which runs code and which no weights need`,
        "do not open it elsewhere; get the model from another source",
        { global: made.path.slice(0, 200) },
      );
    }
    this.#globals.set(key, made);
    return made;
  }

  #fill(pairs: readonly PickleValue[]): true {
    const target = this.#stack.top();
    if (target instanceof PickleDict) this.#filled(target, pairs);
    else if (!(target instanceof PickleObject)) refuse("PICKLE_FORMAT", this.#file, "pickle: items for what is no dict", damaged);
    return true;
  }

  #filled(dict: PickleDict, pairs: readonly PickleValue[]): PickleDict {
    if (pairs.length % 2 !== 0) refuse("PICKLE_FORMAT", this.#file, "pickle: a key without a value", damaged);
    for (let i = 0; i < pairs.length; i += 2) {
      const key = pairs[i]!;
      if (typeof key === "string" && dict.entries.has(key)) {
        refuse(
          "PICKLE_DUPLICATE",
          this.#file,
          `two entries of one name: "${key}"`,
          "the file is damaged: get it from its source",
          { name: key.slice(0, 200) },
        );
      }
      dict.entries.set(key, pairs[i + 1]!);
    }
    return dict;
  }

  #append(items: readonly PickleValue[]): true {
    const target = this.#stack.top();
    if (target instanceof PickleList) for (const item of items) target.items.push(item);
    else if (!(target instanceof PickleObject)) refuse("PICKLE_FORMAT", this.#file, "pickle: items for what is no list", damaged);
    return true;
  }

  #atMost(limit: number, length: number): number {
    return length <= limit ? length : refuse("PICKLE_TOO_LARGE", this.#file, `an integer of ${length} bytes`, damaged);
  }
}
