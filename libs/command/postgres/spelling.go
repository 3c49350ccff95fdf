package postgres

import "strings"

// functions gives every function that a statement names or calls by attribute
// notation both of its names, upper and pg_catalog.upper: a condition may ask for
// either. A bare name that more than one schema may mean has that of each.
func (r *resolver) functions() {
	var out set[string]
	for _, f := range r.f.Functions {
		out.add(f)
		if schema, name := split(strings.Split(f, ".")); schema != "" {
			out.add(schema + "." + name)
			out.add(name)
			continue
		}
		r.spell(f, &out)
	}
	for _, name := range r.f.Attributes {
		r.spell(name, &out)
	}
	for _, name := range r.rowCalls {
		r.spell(name, &out)
	}
	r.f.Functions = out.list
}

// spell adds the names of a function without a schema, where there is such a
// function.
func (r *resolver) spell(name string, out *set[string]) {
	name = strings.ToLower(name)
	if KnownFunction(name) {
		out.add(name)
		out.add("pg_catalog." + name)
	}
	if s := r.visible(r.catalog.functions, name); s != "" {
		out.add(name)
		out.add(s + "." + name)
	}
}
