package postgres

import (
	"fmt"
	"slices"

	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/libs/refusal"
	"github.com/gatestay/gatestay/services/gateway/internal/postgres/wire"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
)

// A Query's text is forwarded whole, and the target does not wait between its
// statements: where a result turns out longer than its rule allows, it may have
// run the rest, and committed, before it hears of it. So a text passes only if
// that can be made good afterwards, and is refused before any of it runs if not.

// separate refuses a text of several commands where the failure of command i at
// its limit could not take back what a server's failure there would: commands
// behind it that do more than read, and those before it in the same implicit
// transaction. An explicit transaction can still be made to fail.
func separate(d *decoded, commands []seam.Command, facts []command.Facts, i int, r *run) error {
	if len(facts) < 2 || !r.mayExceed() || defines(d, i) {
		return nil
	}
	refused := &refusal.Refusal{
		Code: refusal.LimitReached,
		Message: fmt.Sprintf("the rule limits the result of command %d of this text (%s), and a result above the limit "+
			"could not undo the other commands: none of them was run", i+1, facts[i].Verb),
		Hint: "Send that command by itself, or inside BEGIN that was sent before and with nothing but reads behind it.",
	}
	for k := i + 1; k < len(facts); k++ {
		if !leavesNothing(d, facts, k) {
			return refused
		}
	}
	if commands[i].State.InTransaction != wire.Idle {
		return nil
	}
	for k := i - 1; k >= 0; k-- {
		switch {
		case facts[k].Transaction == "commit" || facts[k].Transaction == "rollback":
			return nil // what came before is decided
		case !leavesNothing(d, facts, k) && !setsPlainly(&facts[k]):
			return refused
		}
	}
	return nil
}

// mayExceed reports a command that fails where its result is longer than its
// rule allows.
func (r *run) mayExceed() bool {
	return (r.limit > 0 || r.maxBytes > 0) && reads(r.facts.Class) && hasResult(r.facts)
}

// defines reports a command that gives a query a name and does not run it.
func defines(d *decoded, i int) bool {
	h := d.statements[i].Handle
	return h != nil && h.Defines
}

// resultless are the verbs of commands of the session that return no rows.
var resultless = []string{"set", "reset", "discard", "listen", "unlisten", "deallocate", "close", "set constraints"}

func hasResult(f *command.Facts) bool {
	return f.Transaction == "" && (f.Class != command.Session || len(f.Functions) > 0 || !slices.Contains(resultless, f.Verb))
}

// leavesNothing reports a command after which all is as it was before, whether
// its transaction ends well or not.
func leavesNothing(d *decoded, facts []command.Facts, i int) bool {
	f := &facts[i]
	if h := d.statements[i].Handle; h != nil && (h.Defines || h.Cursor) {
		return false // a name, or where a cursor stands
	}
	return f.Transaction == "" && (f.Class == command.Read && f.Neutral || f.Class == command.Session && f.Verb == "show")
}

// setsPlainly reports SET or RESET. Before a limited result they may stay in
// force although a server would have taken them back: the error says so.
func setsPlainly(f *command.Facts) bool {
	return f.Class == command.Session && (f.Verb == "set" || f.Verb == "reset") && len(f.Functions) == 0
}
