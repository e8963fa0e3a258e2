// Asks DuckDB the statement of the first line of standard input again and again, a JSON line with the first row (or the error) for
// each answer on standard output, until standard input ends.
import { DuckDBInstance } from '@duckdb/node-api'
import { createInterface } from 'node:readline'

const connection = await (await DuckDBInstance.create(':memory:')).connect()
let isOver = false
const lines = createInterface({ input: process.stdin })
lines.on('close', () => { isOver = true })
lines.once('line', async (line) => {
  while (!isOver) {
    try {
      const rows = (await connection.runAndReadAll(JSON.parse(line))).getRowsJson()
      console.log(JSON.stringify({ row: rows[0] }))
    } catch (fault) {
      console.log(JSON.stringify({ error: String(fault) }))
    }
    await new Promise((resolve) => setImmediate(resolve))
  }
  process.exit(0)
})
