/** A source of chance that repeats itself for the same seed: a number from 0 up to 1 (Chris Doty-Humphrey's sfc32). */
export function seeded(seed: number): () => number {
  let a = seed | 0;
  let b = 0x9e3779b9 | 0;
  let c = 0x243f6a88 | 0;
  let counter = 1;
  const random = () => {
    const sum = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + sum) | 0;
    return (sum >>> 0) / 2 ** 32;
  };
  // Seeds that are alike give numbers that are alike until they have been stirred.
  for (let round = 0; round < 16; round++) random();
  return random;
}
