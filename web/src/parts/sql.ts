/** Words of the query language, for colours and completion. */
export const keywords = [
  "SELECT", "INTO", "FROM", "WHERE", "GROUP BY", "HAVING", "WITH", "AS", "AND", "OR", "NOT", "IN", "IS", "NULL", "LIKE", "BETWEEN", "CASE", "WHEN",
  "THEN", "ELSE", "END", "JOIN", "LEFT JOIN", "ON", "UNION", "APPLY", "CROSS APPLY", "OUTER APPLY", "PARTITION BY", "OVER", "LIMIT DURATION", "TIMESTAMP BY", "DISTINCT", "ORDER BY", "DESC", "ASC",
  "MATCH_RECOGNIZE", "MEASURES", "PATTERN", "DEFINE",
];

export const functions = [
  "COUNT", "SUM", "AVG", "MIN", "MAX", "STDEV", "STDEVP", "VAR", "VARP", "TopOne", "Collect", "CollectTop", "PERCENTILE_CONT", "PERCENTILE_DISC", "LAG", "LAST", "ISFIRST",
  "TumblingWindow", "HoppingWindow", "SlidingWindow", "SessionWindow", "System.Timestamp", "System.Window", "Duration", "Offset", "Window", "Windows",
  "CAST", "TRY_CAST", "GetType", "COALESCE", "NULLIF", "ISNULL", "CONCAT", "CONCAT_WS", "LEN", "LOWER", "UPPER", "SUBSTRING", "REPLACE", "CHARINDEX", "PATINDEX", "REGEXMATCH", "LTRIM", "RTRIM",
  "TRIM", "LEFT", "RIGHT", "REPLICATE", "REVERSE", "STUFF", "TRANSLATE", "ABS", "CEILING", "FLOOR", "ROUND", "SIGN", "SQRT", "SQUARE", "POWER", "EXP", "LOG", "LOG10", "SIN", "COS", "TAN", "PI",
  "DATEADD", "DATEDIFF", "DATEDIFF_BIG", "DATEPART", "DATENAME", "DAY", "MONTH", "YEAR", "EOMONTH", "DATETIMEFROMPARTS", "ISDATE", "ISJSON", "JSON_VALUE", "JSON_QUERY", "JSON_PARSE", "JSON_MODIFY",
  "GetArrayElement", "GetArrayElements", "GetArrayLength", "GetRecordPropertyValue", "GetRecordProperties", "CreatePoint", "CreatePolygon", "ST_WITHIN", "ST_DISTANCE", "ST_OVERLAPS",
  "AnomalyDetection_SpikeAndDip", "AnomalyDetection_ChangePoint",
];

/** Names that can be asked for in every event, besides what the payload has. */
export const eventNames = ["id", "EventEnqueuedUtcTime", "PartitionId", "telemetry"];

const keywordSet = new Set(keywords.flatMap((k) => k.split(" ")));
const functionSet = new Set(functions.map((f) => f.toUpperCase()));
const pattern = /(--[^\n]*|\/\*[\s\S]*?(?:\*\/|$))|('(?:[^']|'')*'?)|(\[[^\]\n]*\]?)|(\b\d+(?:\.\d+)?(?:[eE][+-]?\d+)?\b)|([A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*)|(\s+)|([^\s])/g;

export type Token = { text: string; kind: string; at: number };

/** A script in pieces with their kinds; the pieces put together are the script. */
export function tokens(script: string): Token[] {
  const found: Token[] = [];
  for (const match of script.matchAll(pattern)) {
    const [text, comment, string, bracket, number, word, space] = match;
    found.push({ text, kind: comment ? "comment" : string ? "string" : bracket ? "name" : number ? "number" : word ? kindOf(word) : space ? "" : "sign", at: match.index });
  }
  return found;
}

function kindOf(word: string): string {
  const upper = word.toUpperCase();
  return keywordSet.has(upper) ? "keyword" : functionSet.has(upper) ? "function" : "name";
}

/** Offset of a place that is given as line and column from 1. */
export function offsetOf(script: string, line: number, column: number): number {
  let at = 0;
  for (let n = 1; n < line; n++) {
    const end = script.indexOf("\n", at);
    if (end < 0) return script.length;
    at = end + 1;
  }
  return Math.min(at + column - 1, script.length);
}
