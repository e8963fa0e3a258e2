// Reads Parquet files with two independent readers and prints every value in one plain form, as JSON:
//   node dump.mjs < [{"file", "columns": [{"name", "kind"}]}]   →   [{"duckdb": [[…]], "hyparquet": [[…]]}]
// Each value is null or a string: integers, times and unscaled decimals in decimal, bools as true/false, texts and bytes
// in hex, doubles in their shortest form.
import { DuckDBInstance } from '@duckdb/node-api'
import { asyncBufferFromFile, parquetReadObjects } from 'hyparquet'
import { compressors } from 'hyparquet-compressors'
import { readFileSync } from 'node:fs'

const parsers = {
  timestampFromMilliseconds: millis => BigInt(millis),
  timestampFromMicroseconds: micros => BigInt(micros),
  timestampFromNanoseconds: nanos => BigInt(nanos),
  dateFromDays: days => days,
  stringFromBytes: bytes => bytes,
  jsonFromBytes: bytes => bytes,
}

function expression({ name, kind }) {
  const column = `"${name}"`
  switch (kind) {
    case 'String': case 'Json': case 'Bytes': return `hex(${column})`
    case 'TimestampMillis': return `(epoch_us(${column}) // 1000)::VARCHAR`
    case 'TimestampMicros': return `epoch_us(${column})::VARCHAR`
    case 'Date': return `(${column} - DATE '1970-01-01')::VARCHAR`
    default: return `${column}::VARCHAR`
  }
}

function plain(value) {
  if (value === null || value === undefined) return null
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex').toUpperCase()
  if (Object.is(value, -0)) return '-0'
  return String(value)
}

async function readByHyparquet(file, columns) {
  const rows = await parquetReadObjects({ file: await asyncBufferFromFile(file), compressors, parsers })
  return rows.map(row => columns.map(column => plain(row[column.name])))
}

const jobs = JSON.parse(readFileSync(0, 'utf8'))
const connection = await (await DuckDBInstance.create(':memory:')).connect()
const results = []
for (const { file, columns } of jobs) {
  // One column at a time, so that a refusal names it.
  const faults = []
  for (const column of columns) {
    await connection.runAndReadAll(`SELECT ${expression(column)} FROM read_parquet('${file}')`)
      .catch(fault => faults.push(`DuckDB, ${column.name}: ${fault.message}`))
  }
  const sql = `SELECT ${columns.map(expression).join(', ')} FROM read_parquet('${file}')`
  const duckdb = await connection.runAndReadAll(sql).then(r => r.getRows(), fault => { faults.push(`DuckDB: ${fault.message}`) })
  const hyparquet = await readByHyparquet(file, columns).catch(fault => { faults.push(`hyparquet: ${fault.message}`) })
  results.push({ faults, duckdb, hyparquet })
}
console.log(JSON.stringify(results))
