package querytest

// kind is the type of a value, as far as expressions care.
type kind byte

const (
	text   kind = 't'
	number kind = 'n'
	truth  kind = 'b'
	json   kind = 'j'
	array  kind = 'a'
)

// value is an expression. secret: it may derive from a masked column, as the
// statement was written; what lineage says may be more, never less.
type value struct {
	sql    string
	kind   kind
	secret bool
}

func (v value) as(k kind, sql string) value { return value{sql, k, v.secret} }

// any joins values into one expression.
func join(k kind, sql string, from ...value) value {
	out := value{sql: sql, kind: k}
	for _, f := range from {
		out.secret = out.secret || f.secret
	}
	return out
}

// column picks a column of a kind.
func (g *Generator) column(items []item, k kind) (value, bool) {
	var found []value
	for _, it := range items {
		for _, c := range it.columns {
			if c.kind == k && g.may(c.secret) {
				found = append(found, value{it.alias + "." + c.sql, k, c.secret})
			}
		}
	}
	if len(found) == 0 {
		return value{}, false
	}
	return found[g.rand.IntN(len(found))], true
}

// row picks a whole FROM item, unless its name is that of a column.
func (g *Generator) row(items []item) (item, bool) {
	it := items[g.rand.IntN(len(items))]
	for _, o := range items {
		for _, c := range o.columns {
			if c.sql == it.alias {
				return it, false
			}
		}
	}
	return it, it.alias != "" && g.may(it.secret())
}

// expression writes a value of a kind over FROM items.
func (g *Generator) expression(items []item, k kind, depth int) value {
	if depth <= 0 || g.chance(25) {
		if c, ok := g.column(items, k); ok && g.chance(90) {
			return c
		}
		return value{sql: map[kind]string{text: "'lit'", number: "7", truth: "true", json: `'{"k": 1}'::jsonb`, array: "ARRAY['x', 'y']"}[k], kind: k}
	}
	e := func(k kind) value { return g.expression(items, k, depth-1) }
	if g.chance(12) { // forms that any kind has
		a, b := e(k), e(k)
		switch g.rand.IntN(4) {
		case 0:
			c := e(truth)
			return join(k, "CASE WHEN "+c.sql+" THEN "+a.sql+" ELSE "+b.sql+" END", a, b, c)
		case 1:
			return join(k, "coalesce("+a.sql+", "+b.sql+")", a, b)
		case 2:
			return join(k, "nullif("+a.sql+", "+b.sql+")", a, b)
		default:
			return a.as(k, "(SELECT "+a.sql+")")
		}
	}
	switch k {
	case text:
		return g.text(items, depth, e)
	case number:
		return g.number(items, depth, e)
	case truth:
		return g.truth(items, depth, e)
	case json:
		return g.json(items, depth, e)
	default:
		return g.array(items, depth, e)
	}
}

func (g *Generator) text(items []item, depth int, e func(kind) value) value {
	a := e(text)
	switch g.rand.IntN(29) {
	case 22:
		b := e(text)
		return join(text, g.pick("translate("+a.sql+", 'abc', "+b.sql+")", "overlay("+a.sql+" placing "+b.sql+" from 2)", "split_part("+a.sql+", '@', 1) || "+b.sql, "lpad("+a.sql+", 30, "+b.sql+")"), a, b)
	case 23:
		return a.as(text, g.pick("regexp_replace("+a.sql+", '^.', '')", "regexp_substr("+a.sql+", '.{3,}')", "md5("+a.sql+")", "quote_literal("+a.sql+")", "initcap("+a.sql+")", "(regexp_match("+a.sql+", '(.*)@'))[1]", a.sql+" COLLATE \"C\""))
	case 24:
		if it, ok := g.row(items); ok {
			return value{g.pick("format('%s', "+it.alias+")", "concat_ws('-', "+it.alias+", 1)", "(to_jsonb("+it.alias+") #>> '{}')", "quote_nullable("+it.alias+")", "(ARRAY["+it.alias+"])[1]::text"), text, it.secret()}
		}
	case 25:
		if j := e(json); g.chance(50) {
			return j.as(text, g.pick("JSON_QUERY("+j.sql+", '$' RETURNING text)", "JSON_SERIALIZE("+j.sql+")"))
		}
		return a.as(text, g.pick("JSON_VALUE(to_jsonb("+a.sql+"), '$' DEFAULT 'none' ON ERROR)", "JSON_VALUE('[1]', '$[*] ? (@ != $v)' PASSING "+a.sql+" AS v)"))
	case 26:
		if depth > 1 {
			q := g.single(items, text, depth-2)
			return q.as(text, "(SELECT "+g.pick("mode() WITHIN GROUP (ORDER BY s.v)", "percentile_disc(0.5) WITHIN GROUP (ORDER BY s.v)", "(array_agg(s.v))[1]", "json_object_agg(s.v, 1)::text", "string_agg(DISTINCT s.v, '+')", "json_agg(s)::text", "xmlagg(xmlelement(name y, s.v))::text")+" FROM ("+q.sql+") AS s (v) WHERE s.v IS NOT NULL)")
		}
	case 27:
		b, n := e(text), e(number)
		return join(text, "(string_to_array("+a.sql+" || ',' || "+b.sql+", ','))[least(2, "+n.sql+")::int]", a, b, n)
	case 28:
		b := e(truth)
		return join(text, "xpath('/x/text()', xmlelement(name x, "+a.sql+"))::text || "+b.sql, a, b)
	case 0:
		return a.as(text, "lower("+a.sql+")")
	case 1:
		return a.as(text, "upper("+a.sql+")::varchar::text")
	case 2:
		return a.as(text, "reverse("+a.sql+")")
	case 3:
		b := e(text)
		return join(text, "("+a.sql+" || "+b.sql+")", a, b)
	case 4:
		return a.as(text, "substring("+a.sql+" from 2 for 9)")
	case 5:
		return a.as(text, "encode(convert_to("+a.sql+", 'UTF8'), '"+g.pick("hex", "base64")+"')")
	case 6:
		b, n := e(text), e(number)
		return join(text, g.pick("concat", "concat_ws")+"("+a.sql+", "+b.sql+", "+n.sql+")", a, b, n)
	case 7:
		return a.as(text, "format('<%s>', "+a.sql+")")
	case 8:
		n := e(number)
		return n.as(text, "("+n.sql+")::text")
	case 9:
		j := e(json)
		return j.as(text, "("+j.sql+")::text")
	case 10:
		j := e(json)
		return j.as(text, "("+j.sql+" ->> '"+g.pick("pin", "email", "k", "name")+"')")
	case 11:
		v := e(array)
		return v.as(text, g.pick("array_to_string("+v.sql+", ',')", "("+v.sql+")[1]", "("+v.sql+")::text"))
	case 12, 13:
		if it, ok := g.row(items); ok {
			return value{g.pick("("+it.alias+")::text", "ROW("+it.alias+".*)::text", "row_to_json("+it.alias+")::text"), text, it.secret()}
		}
	case 14, 15:
		if depth > 1 {
			q := g.single(items, text, depth-2)
			return q.as(text, "(SELECT "+g.pick("min", "max", "any_value")+"(s::text) FROM ("+q.sql+") AS s (s))")
		}
	case 16:
		if depth > 1 {
			q := g.single(items, text, depth-2)
			return q.as(text, "(SELECT string_agg(s.v, ';' ORDER BY s.v) FROM ("+q.sql+") AS s (v))")
		}
	case 17:
		return a.as(text, "xmlserialize(content xmlelement(name x, "+a.sql+") AS text)")
	case 18:
		b := e(text)
		return join(text, g.pick("greatest", "least")+"("+a.sql+", "+b.sql+")", a, b)
	case 19:
		return a.as(text, "replace("+a.sql+", 'example', '')")
	case 20:
		b := e(truth)
		return b.as(text, "("+b.sql+")::text")
	}
	return a.as(text, "trim("+a.sql+")")
}

func (g *Generator) number(items []item, depth int, e func(kind) value) value {
	n := e(number)
	switch g.rand.IntN(11) {
	case 8:
		a, b := e(text), e(array)
		return join(number, g.pick("num_nonnulls("+a.sql+", "+b.sql+")", "array_position("+b.sql+", "+a.sql+")", "width_bucket(length("+a.sql+"), 1, 30, 5) + cardinality("+b.sql+")", "hashtext("+a.sql+") + num_nulls("+b.sql+")"), a, b)
	case 9:
		a := e(text)
		return a.as(number, g.pick("octet_length", "ascii", "pg_column_size", "bit_length")+"("+a.sql+")")
	case 10:
		a := e(text)
		return join(number, "regexp_count("+a.sql+", 'e') + nullif("+n.sql+", 7)", a, n)
	case 0:
		b := e(number)
		return join(number, "("+n.sql+" + "+b.sql+")", n, b)
	case 1:
		a := e(text)
		return a.as(number, "length("+a.sql+")")
	case 2:
		a := e(array)
		return a.as(number, "cardinality("+a.sql+")")
	case 3:
		if depth > 1 {
			q := g.single(items, number, depth-2)
			return q.as(number, "(SELECT max(s) FROM ("+q.sql+") AS s (s))")
		}
	case 4:
		b := e(truth)
		return b.as(number, "("+b.sql+")::int")
	case 5:
		return n.as(number, "abs("+n.sql+")")
	case 6:
		return n.as(number, "("+n.sql+")::numeric")
	}
	return n.as(number, "("+n.sql+")::bigint")
}

func (g *Generator) truth(items []item, depth int, e func(kind) value) value {
	switch g.rand.IntN(11) {
	case 6:
		a, b, n, m := e(text), e(text), e(number), e(number)
		return join(truth, "(("+a.sql+", "+n.sql+") "+g.pick("=", "<", "<>", "IS DISTINCT FROM")+" ("+b.sql+", "+m.sql+"))", a, b, n, m)
	case 7:
		if depth > 1 {
			a, n, q := e(text), e(number), g.pair(items, depth-2)
			return join(truth, "(("+a.sql+", "+n.sql+") "+g.pick("= ANY ", "IN ", "= ", "< ", "NOT IN ", "< ALL ")+"("+q.sql+" LIMIT 1))", a, n, q)
		}
	case 8:
		if depth > 1 {
			a, n, q := e(text), e(number), g.pair(items, depth-2)
			z := g.name()
			return join(truth, "(SELECT bool_or(ROW("+z+".*) IN ("+q.sql+")) FROM (VALUES ("+a.sql+", "+n.sql+")) AS "+z+")", a, n, q)
		}
	case 9:
		a, b := e(text), e(array)
		return join(truth, "("+a.sql+" OPERATOR(pg_catalog."+g.pick("=", "<>", "<", "~~")+") "+g.pick("ANY", "ALL")+" ("+b.sql+"))", a, b)
	case 10:
		if it, ok := g.row(items); ok {
			return value{g.pick("("+it.alias+" IS NOT NULL)", "("+it.alias+".* IS NULL)", "("+it.alias+" = "+it.alias+")", "("+it.alias+"::text LIKE '%e%')"), truth, it.secret()}
		}
	case 0:
		a, b := e(text), e(text)
		return join(truth, "("+a.sql+" "+g.pick("=", "<", ">", "LIKE", "~")+" "+b.sql+")", a, b)
	case 1:
		a, b := e(number), e(number)
		return join(truth, "("+a.sql+" < "+b.sql+")", a, b)
	case 2:
		a := e(text)
		return a.as(truth, "("+a.sql+" IS NULL)")
	case 3:
		if depth > 1 {
			q := g.single(items, text, depth-2)
			return q.as(truth, "EXISTS ("+q.sql+")")
		}
	case 4:
		if depth > 1 {
			a, q := e(text), g.single(items, text, depth-2)
			return join(truth, "("+a.sql+" IN ("+q.sql+"))", a, q)
		}
	}
	a, b := e(truth), e(truth)
	return join(truth, "("+a.sql+" "+g.pick("AND", "OR")+" NOT "+b.sql+")", a, b)
}

func (g *Generator) json(items []item, depth int, e func(kind) value) value {
	a := e(text)
	switch g.rand.IntN(9) {
	case 0:
		return a.as(json, "to_jsonb("+a.sql+")")
	case 1:
		n := e(number)
		return join(json, "jsonb_build_object('k', "+a.sql+", 'n', "+n.sql+")", a, n)
	case 2:
		return a.as(json, "json_object('k': "+a.sql+" RETURNING jsonb)")
	case 3, 4:
		if it, ok := g.row(items); ok {
			return value{g.pick("to_jsonb("+it.alias+")", "row_to_json("+it.alias+")::jsonb", it.alias+".to_jsonb"), json, it.secret()}
		}
	case 5:
		if depth > 1 {
			q := g.single(items, text, depth-2)
			return q.as(json, "(SELECT "+g.pick("jsonb_agg(s)", "json_arrayagg(s RETURNING jsonb)")+" FROM ("+q.sql+") AS s (s))")
		}
	case 6:
		v := e(array)
		return v.as(json, "to_jsonb("+v.sql+")")
	case 7:
		j := e(json)
		return j.as(json, "jsonb_path_query_first("+j.sql+", '$.*')")
	}
	j := e(json)
	return join(json, "("+j.sql+" || jsonb_build_array("+a.sql+"))", j, a)
}

func (g *Generator) array(items []item, depth int, e func(kind) value) value {
	a := e(text)
	switch g.rand.IntN(5) {
	case 0:
		b := e(text)
		return join(array, "ARRAY["+a.sql+", "+b.sql+"]", a, b)
	case 1:
		if depth > 1 {
			q := g.single(items, text, depth-2)
			return q.as(array, "ARRAY("+q.sql+")")
		}
	case 2:
		return a.as(array, "string_to_array("+a.sql+", '@')")
	case 3:
		v := e(array)
		return join(array, "("+v.sql+" || "+a.sql+")", v, a)
	}
	return a.as(array, "regexp_split_to_array("+a.sql+", '[@]')")
}
