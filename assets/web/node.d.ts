// As much of node as the tests beside the modules need. Never served.
declare module "node:test" {
  export function test(name: string, run: () => void | Promise<void>): void;
}
declare module "node:assert/strict" {
  const assert: {
    ok(value: unknown, message?: string): asserts value;
    equal(found: unknown, expected: unknown): void;
    deepEqual(found: unknown, expected: unknown): void;
    match(text: string, pattern: RegExp): void;
    doesNotMatch(text: string, pattern: RegExp): void;
    rejects(promise: Promise<unknown>, pattern: RegExp): Promise<void>;
  };
  export default assert;
}
declare module "node:zlib" {
  export const crc32: (data: Uint8Array) => number;
}
