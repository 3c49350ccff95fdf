exports.up = async knex => {
  await knex.schema.createTable('knex_people', t => {
    t.increments('id')
    t.string('name').notNullable().index()
    t.timestamps(true, true)
  })
  await knex('knex_people').insert([{ name: 'Ada' }, { name: 'Grace' }])
}
exports.down = knex => knex.schema.dropTable('knex_people')
