/** A message with its number, its length, and a pattern that follows from the number. */
export function frame(number: number, bytes: number): Buffer {
  const made = Buffer.alloc(bytes, number % 251);
  made.writeUInt32BE(MAGIC, 0);
  made.writeUInt32BE(number, 4);
  made.writeUInt32BE(bytes, 8);
  return made;
}

const MAGIC = 0x5ca1ab1e;
const HEADER = 12;
/** A header that says more was torn. */
const LONGEST = 2 ** 20;

/** Takes a stream apart into frames. Throws for bytes that begin no frame, or are not of the frame they are in. */
export class FrameReader {
  #rest = Buffer.alloc(0);

  /** The numbers of the frames that are whole with `chunk`. */
  push(chunk: Buffer): number[] {
    this.#rest = Buffer.concat([this.#rest, chunk]);
    const numbers: number[] = [];
    while (this.#rest.length >= HEADER) {
      if (this.#rest.readUInt32BE(0) !== MAGIC) throw new Error('These bytes begin no frame');
      const number = this.#rest.readUInt32BE(4);
      const bytes = this.#rest.readUInt32BE(8);
      if (bytes < HEADER || bytes > LONGEST) throw new Error(`Frame ${number} cannot be ${bytes} bytes long`);
      if (this.#rest.length < bytes) break;
      if (!this.#rest.subarray(HEADER, bytes).every((byte) => byte === number % 251)) {
        throw new Error(`Frame ${number} holds bytes of another`);
      }
      numbers.push(number);
      this.#rest = this.#rest.subarray(bytes);
    }
    return numbers;
  }
}
