exports.up = pgm => {
  pgm.createTable('npm_people', { id: 'id', name: { type: 'text', notNull: true } })
  pgm.createIndex('npm_people', 'name')
  pgm.sql("INSERT INTO npm_people (name) VALUES ('Ada')")
}
exports.down = pgm => pgm.dropTable('npm_people')
