/** Operations that know the types of their variables and of their result. */

/**
 * An operation as text, with its types for the compiler. The generated documents are such; so is
 * any string, whose result is then `unknown` until the caller says what it is.
 */
export interface TypedDocument<Result = unknown, Variables = Record<string, unknown>> {
  toString(): string;
  __apiType?: (variables: Variables) => Result;
}

/** The arguments after a document: variables may be left out where none is required. */
export type VariablesOf<Variables> =
  Record<string, never> extends Variables ? [variables?: Variables] : [variables: Variables];
