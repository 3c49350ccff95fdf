// The job of every client, with node-postgres; see job.py.
const fs = require('fs')
const { Client } = require('pg')
const [, , me, endless] = process.argv

const ssl = process.env.PGSSLMODE === 'verify-full' ? { ca: fs.readFileSync(process.env.PGSSLROOTCERT), rejectUnauthorized: true } : false
const client = new Client({ ssl })

async function value (sql, ...parameters) {
  const { rows } = await client.query({ text: sql, values: parameters, rowMode: 'array' })
  return rows[0][0]
}

async function refusal (sql) {
  try {
    await client.query(sql)
  } catch (e) {
    return e
  }
  return { code: 'none', message: '' }
}

async function main () {
  await client.connect()
  const { rows } = await client.query('SELECT name, email FROM customers WHERE id = $1', [1])
  console.log('read:', rows[0].name, rows[0].email)
  console.log('written:', await value('INSERT INTO notes (author, body) VALUES ($1, $2) RETURNING body', me, "it's \\ ünïcode"))
  await client.query('BEGIN')
  await client.query({ name: 'insert', text: 'INSERT INTO notes (author, body) VALUES ($1, $2)', values: [me, 'never'] })
  await client.query('ROLLBACK')
  console.log('rolled back:', await value('SELECT count(*) FROM notes WHERE author = $1', me))
  console.log('error:', (await refusal('SELECT 1/0')).code)
  console.log('after the error:', await value('SELECT 1'))
  const refused = await refusal('CREATE TABLE never (x int)')
  console.log('refused:', refused.code)
  console.log('said:', refused.message)
  console.log('after the refusal:', await value('SELECT 2'))
  const running = refusal(endless)
  await new Promise(resolve => process.stdin.once('data', resolve))
  process.stdin.destroy()
  // It has no call for this: it sends the request as psql does.
  const second = new Client({ ssl })
  second.connection.on('connect', () => second.connection.cancel(client.processID, client.secretKey))
  second.connection.on('sslconnect', () => second.connection.cancel(client.processID, client.secretKey))
  second.connection.on('error', () => {})
  if (second.host.startsWith('/')) second.connection.connect(second.host + '/.s.PGSQL.' + second.port)
  else second.connection.connect(second.port, second.host)
  console.log('cancelled:', (await running).code)
  console.log('after the cancel:', await value('SELECT 3'))
  await client.end()
}

main().catch(e => { console.error(e); process.exit(1) })
