// Runs DuckDB statements from standard input, separated by lines of "---", and prints the last one's rows as JSON.
import { DuckDBInstance } from '@duckdb/node-api'
import { readFileSync } from 'node:fs'

const connection = await (await DuckDBInstance.create(':memory:')).connect()
let rows = []
for (const statement of readFileSync(0, 'utf8').split(/^---$/m)) {
  rows = (await connection.runAndReadAll(statement)).getRowsJson()
}
console.log(JSON.stringify(rows))
