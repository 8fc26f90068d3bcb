// The limits of values.mjs, for modules of the Worker that run in Node.

export const VALUES = {
  bytes: 524_288,
  depth: 200,
  previewCharacters: 1000,
  writtenCharacters: 8_388_608,
  writtenLevels: 100_000,
  bigintBits: 14_284,
};
