package postgres

import "github.com/gatestay/gatestay/libs/command"

// wholeRow is a relation that a statement may take all columns of without naming
// one: by the name that it has in FROM, or by giving its columns other names.
type wholeRow struct {
	schema, table string
	// unless is a column that the name would mean where the relation has it.
	unless string
}

// ranged notes the name that a relation has in a statement.
func (w *walker) ranged(name, schema, table string) {
	if w.whole == nil {
		w.whole = map[string]*set[wholeRow]{}
	}
	if w.whole[name] == nil {
		w.whole[name] = &set[wholeRow]{}
	}
	w.whole[name].add(wholeRow{schema, table, name})
}

// wholeRows are the relations of which all columns may be taken. Where a join
// has a name of its own, or joins by what is not written, all that are read are.
func (w *walker) wholeRows() []wholeRow {
	var out set[wholeRow]
	for _, r := range w.renamed.list {
		out.add(r)
	}
	for _, name := range w.alone.list {
		w.unnamed = w.unnamed || w.joins[name]
		if rows := w.whole[name]; rows != nil {
			for _, r := range rows.list {
				out.add(r)
			}
		}
	}
	for _, o := range w.objects.list {
		if w.unnamed && o.Kind == "" && !o.New {
			out.add(wholeRow{schema: o.Schema, table: o.Name})
		}
	}
	return out.list
}

// whole adds all columns of the relations that a statement takes rows of.
func (r *resolver) whole() {
	t, ok := r.f.Source.(*text)
	if !ok {
		return
	}
	var out set[command.Column]
	for _, c := range r.f.Columns {
		out.add(c)
	}
	add := func(rel *relation) {
		for _, c := range rel.Columns {
			out.add(rel.column(c.Name))
		}
	}
	for _, row := range t.whole {
		if rel := r.relation(row.schema, row.table); rel != nil && (row.unless == "" || !rel.has(row.unless)) {
			add(rel)
		}
	}
	for _, rel := range r.called {
		add(rel)
	}
	r.f.Columns = out.list
}

// through adds the columns below those of views: the one that a view passes on
// as it is, else all that its query mentions.
func (r *resolver) through(list []command.Column) []command.Column {
	var out set[command.Column]
	for _, c := range list {
		out.add(c)
	}
	for i := 0; i < len(out.list); i++ {
		c := out.list[i]
		rel := r.catalog.relations[Name{c.Schema, c.Table}]
		if rel == nil || rel.view == nil {
			continue
		}
		if next, ok := rel.view.plain[rel.numbers[c.Name]]; ok {
			if below := r.catalog.byOID[next.OID]; below != nil {
				out.add(below.column(below.names[next.Number]))
				continue
			}
		}
		for _, below := range rel.view.facts.Columns {
			out.add(below)
		}
		if rel.view.facts.Verb == "" || rel.view.facts.IsUnknown("columns") {
			r.unknown.add("columns")
		}
	}
	return out.list
}
