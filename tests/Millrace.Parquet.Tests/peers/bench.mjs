// DuckDB for the benchmark: a JSON string with a statement on each line of standard input, a JSON line with its time and first
// row for each on standard output.
import { DuckDBInstance } from '@duckdb/node-api'
import { createInterface } from 'node:readline'

const connection = await (await DuckDBInstance.create(':memory:')).connect()
await connection.run(`SET threads = ${Number(process.argv[2] ?? 1)}`)
for await (const line of createInterface({ input: process.stdin })) {
  const start = performance.now()
  const rows = (await connection.runAndReadAll(JSON.parse(line))).getRowsJson()
  console.log(JSON.stringify({ ms: performance.now() - start, row: rows[0] ?? null }))
}
