/** Operations with the types of their variables and their result. */

/**
 * An operation as text, with types for the compiler. The generated documents have them; for any
 * other string the result is `unknown` unless the caller gives its type.
 */
export interface TypedDocument<Result = unknown, Variables = Record<string, unknown>> {
  toString(): string;
  __apiType?: (variables: Variables) => Result;
}

/** The arguments after a document: variables are optional if none is required. */
export type VariablesOf<Variables> =
  Record<string, never> extends Variables ? [variables?: Variables] : [variables: Variables];
