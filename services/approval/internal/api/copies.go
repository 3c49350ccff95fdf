package api

import (
	"net/http"

	"github.com/gatestay/gatestay/libs/copied"
	"github.com/gatestay/gatestay/libs/refusal"
	"github.com/gatestay/gatestay/services/approval/internal/copies"
)

// Copy is what a masked column was copied to, as people see it.
type Copy struct {
	Target   string `json:"target"`
	Database string `json:"database"`
	Schema   string `json:"schema"`
	Table    string `json:"table"`
	Column   string `json:"column"` // * for all
	From     string `json:"from"`   // as the masking rule names it; empty where it is not known
	By       string `json:"by"`     // the command that made the first copy
}

func shown(list []copied.Mask) map[string]any {
	out := make([]Copy, len(list))
	for i, m := range list {
		out[i] = Copy{Target: m.Target, Database: m.Database, Schema: m.To.Schema, Table: m.To.Table, Column: m.To.Name, By: m.By}
		if m.From.Table != "" {
			out[i].From = m.From.Table + "." + m.From.Name
			if m.From.Schema != "" {
				out[i].From = m.From.Schema + "." + out[i].From
			}
		}
	}
	return map[string]any{"copies": out}
}

// copies lists the copies of a target that are masked: for administrators and
// auditors.
func (a *API) copies(r *http.Request, c *Caller) (any, error) {
	if !c.wide {
		return nil, notAdmin("see what was copied")
	}
	list, err := c.Copies.List(r.Context(), r.URL.Query().Get("target"))
	if err != nil {
		return nil, err //nolint:wrapcheck // copies says so
	}
	return shown(list), nil
}

// lift lifts the masks of copies: for administrators.
func (a *API) lift(r *http.Request, c *Caller) (any, error) {
	if !c.admin {
		return nil, notAdmin("lift a mask")
	}
	var body struct {
		Target   string `json:"target"`
		Database string `json:"database"`
		Schema   string `json:"schema"`
		Table    string `json:"table"`
		Column   string `json:"column"`
		Reason   string `json:"reason"`
	}
	if err := read(r, &body); err != nil || body.Target == "" || body.Table == "" {
		return nil, &refusal.Refusal{Code: refusal.ApprovalInvalid, Message: "the request cannot be read", Hint: `send {"target":"prod-db","schema":"public","table":"archive","reason":"why"}`}
	}
	list, err := c.Copies.Lift(r.Context(), copies.Request{
		Target: body.Target, Database: body.Database, Schema: body.Schema, Table: body.Table, Column: body.Column,
		Person: c.Person, Account: c.Account, Reason: body.Reason, Via: "cli",
	})
	if err != nil {
		return nil, err //nolint:wrapcheck // copies says so
	}
	return shown(list), nil
}

func notAdmin(what string) *refusal.Refusal {
	return &refusal.Refusal{
		Code: refusal.VoteForbidden, Message: "only administrators " + what + " here",
		Hint: "sign_in.admins in gatestay.yaml names them, by the people map",
	}
}
