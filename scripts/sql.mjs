// Splits a migration into statements, because D1 prepares one statement at a time.

const TOKEN =
  /'(?:[^']|'')*'|"(?:[^"]|"")*"|`[^`]*`|\[[^\]]*\]|--[^\n]*|\/\*[\s\S]*?\*\/|;|\w+|\s+|./gs;

/**
 * Split a script into statements without comments and closing semicolons: "SELECT 1; -- one"
 * becomes ["SELECT 1"]. A trigger (CREATE … TRIGGER … BEGIN …; END) is one statement.
 * @param {string} script
 * @returns {string[]}
 */
export function splitStatements(script) {
  /** @type {string[]} */
  const statements = [];
  let text = "";
  /** @type {string[]} */
  let words = [];
  let depth = 0;
  const flush = () => {
    if (words.length > 0) statements.push(text.trim());
    text = "";
    words = [];
    depth = 0;
  };
  for (const [token] of script.matchAll(TOKEN)) {
    const isComment = token.startsWith("--") || token.startsWith("/*");
    if (isComment) {
      text += " ";
      continue;
    }
    if (token === ";" && depth === 0) {
      flush();
      continue;
    }
    text += token;
    if (token.trim() === "") continue;
    const word = token.toUpperCase();
    if (isTrigger(words)) {
      if (word === "BEGIN" || word === "CASE") depth += 1;
      if (word === "END") depth -= 1;
    }
    words.push(word);
  }
  flush();
  return statements;
}

/**
 * @param {string[]} words the beginning of a statement, in capitals
 */
function isTrigger(words) {
  return words[0] === "CREATE" && words.slice(1, 3).includes("TRIGGER");
}
