package postgres

import "strings"

// path is the order in which the schemas of unqualified names are searched.
type path struct {
	temp string   // the session's own temporary schema, empty where it has none
	list []string // for relations and types
	// calls is the order for functions and operators: temporary ones are never
	// found without their schema.
	calls []string
	// shadowed reports that something is searched before pg_catalog.
	shadowed bool
}

// newPath takes a search_path as SHOW gives its names, or the array that
// current_schemas(true) gives.
func newPath(searchPath []string, tempSchema string) path {
	p := path{temp: tempSchema}
	hasTemp, hasCatalog := false, false
	for _, s := range searchPath {
		if s == "pg_temp" || (tempSchema != "" && s == tempSchema) {
			hasTemp = true
			if tempSchema != "" {
				p.list = append(p.list, tempSchema)
			}
			continue
		}
		if s == "pg_catalog" {
			hasCatalog = true
			p.shadowed = len(p.calls) > 0
		}
		p.list = append(p.list, s)
		p.calls = append(p.calls, s)
	}
	if !hasCatalog {
		p.list = append([]string{"pg_catalog"}, p.list...)
		p.calls = append([]string{"pg_catalog"}, p.calls...)
	}
	if !hasTemp && tempSchema != "" {
		p.list = append([]string{tempSchema}, p.list...)
	}
	return p
}

// schema resolves the alias of the temporary schema.
func (p path) schema(s string) string {
	if s == "pg_temp" {
		return p.temp
	}
	return s
}

// creation is the schema in which an unqualified new object comes to lie.
func (p path) creation() string {
	for _, s := range p.list {
		if s != "pg_catalog" && (p.temp == "" || s != p.temp) && !strings.HasPrefix(s, "pg_temp_") {
			return s
		}
	}
	return ""
}
