/**
 * Typed documents for everything the API offers, for `query` and `subscribe`. Generated from
 * clients/operations.
 */

export * from "./generated/documents.ts";
