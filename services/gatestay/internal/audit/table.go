package audit

import "strings"

// column is one column of a table.
type column struct {
	title string
	// elastic columns take what the others leave.
	elastic bool
	// optional columns go first where the terminal is narrow, the highest number
	// first; 0 always stays.
	optional int
	cells    []string
	paint    []func(string) string // by row; nil is plain
}

const (
	gap        = 2
	minElastic = 24
)

// layout renders columns within a width, 0 for any.
func layout(table []column, limit int, heading func(string) string) []string {
	table = drop(table, limit)
	widths := make([]int, len(table))
	for i, c := range table {
		widths[i] = natural(c)
	}
	if limit > 0 {
		shrink(table, widths, limit)
	}
	rows := make([]string, len(table[0].cells)+1)
	for n := range rows {
		var b strings.Builder
		for i, c := range table {
			text, paint := c.title, heading
			if n > 0 {
				text, paint = c.cells[n-1], nil
				if c.paint != nil {
					paint = c.paint[n-1]
				}
			}
			text = fit(text, widths[i])
			if i < len(table)-1 {
				text = pad(text, widths[i])
			}
			if paint != nil {
				text = paint(text)
			}
			b.WriteString(text)
			if i < len(table)-1 {
				b.WriteString(strings.Repeat(" ", gap))
			}
		}
		rows[n] = strings.TrimRight(b.String(), " ")
	}
	return rows
}

func natural(c column) int {
	n := cells(c.title)
	for _, s := range c.cells {
		n = max(n, cells(s))
	}
	return n
}

func total(table []column) int {
	n := -gap
	for _, c := range table {
		w := natural(c)
		if c.elastic {
			w = min(w, minElastic)
		}
		n += w + gap
	}
	return n
}

// drop removes optional columns until the rest fits.
func drop(table []column, limit int) []column {
	for limit > 0 && total(table) > limit {
		last := -1
		for i, c := range table {
			if c.optional > 0 && (last < 0 || c.optional > table[last].optional) {
				last = i
			}
		}
		if last < 0 {
			return table
		}
		table = append(table[:last:last], table[last+1:]...)
	}
	return table
}

// shrink takes from the elastic columns what is too much.
func shrink(table []column, widths []int, limit int) {
	over := -limit - gap
	for _, w := range widths {
		over += w + gap
	}
	for i, c := range table {
		if c.elastic && over > 0 {
			less := min(over, max(0, widths[i]-minElastic/2))
			widths[i] -= less
			over -= less
		}
	}
}
