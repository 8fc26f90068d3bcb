/**
 * Typed documents for all operations of the API, for `query` and `subscribe`. Generated from
 * clients/operations.
 */

export * from "./generated/documents.ts";
