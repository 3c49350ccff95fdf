const fs = require('fs')
module.exports = {
  client: 'pg',
  connection: {
    host: process.env.PGHOST, port: process.env.PGPORT, user: process.env.PGUSER, password: process.env.PGPASSWORD, database: process.env.PGDATABASE,
    ssl: { ca: fs.readFileSync(process.env.PGSSLROOTCERT) }
  },
  migrations: { tableName: 'knex_migrations', directory: __dirname, loadExtensions: ['.js'] }
}
