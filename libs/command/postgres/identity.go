package postgres

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/gatestay/gatestay/libs/command"
)

// Identity says which things of the catalog the names of a resolved statement
// stand for, and what these are: relations by OID, with their columns, what
// they run and what a view reads. It is equal for two catalogs in which the
// statement means the same; there is nothing else to it.
func (c *Catalog) Identity(f *command.Facts) string {
	if c == nil {
		return ""
	}
	objects := slices.Clone(f.Objects)
	slices.SortFunc(objects, func(a, b command.Object) int {
		return cmp.Or(cmp.Compare(a.Schema, b.Schema), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Access, b.Access))
	})
	var b strings.Builder
	for _, o := range objects {
		rel := c.relations[Name{o.Schema, o.Name}]
		if o.Kind != "" || rel == nil {
			fmt.Fprintf(&b, "%q;", o)
			continue
		}
		r := &rel.Relation
		fmt.Fprintf(&b, "%d %c %v %v %q %v %v %q %q;", r.OID, r.Kind, r.ReadCode, r.WriteCode, r.Definition,
			sorted(r.Parents), sorted(r.Cascades), sorted(r.ReadExpressions), sorted(r.WriteExpressions))
		for _, col := range r.Columns {
			fmt.Fprintf(&b, "%q %d %d %v,", col.Name, col.Number, col.Type, col.From)
		}
	}
	return b.String()
}

// sorted: a catalog's lists come in no order.
func sorted[T cmp.Ordered](list []T) []T { return slices.Sorted(slices.Values(list)) }
