package copied

import (
	"encoding/json"
	"errors"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/libs/seal"
)

func mask(name string) Mask {
	return Mask{Target: "prod-db", Database: "shop", To: command.Column{Schema: "public", Table: "archive", Name: name}, Plain: true, By: "cmd_1"}
}

func taken(t *testing.T, l *Ledger, m Mask, generation uint64) bool {
	t.Helper()
	raw, _ := json.Marshal(m)
	key, _ := m.Key()
	_, changed, err := l.Copy(key, generation, raw)
	if err != nil {
		t.Fatal(err)
	}
	return changed
}

func lift(t *testing.T, l *Ledger, k *seal.Key, signed Mask, as string, of, generation uint64) (bool, error) {
	t.Helper()
	raw, err := Lift{Mask: signed, Generation: of, Person: "dana", Reason: "dropped"}.Sign(k)
	if err != nil {
		t.Fatal(err)
	}
	_, changed, err := l.Lifted(as, generation, raw)
	return changed, err
}

// TestLedger: a lifting lifts the copy that it is of, and none that is made later.
func TestLedger(t *testing.T) {
	key, _ := seal.Generate()
	l := NewLedger(key.Public())
	m := mask("note")
	id, _ := m.Key()
	if masked, _, next := l.Of(m); masked || next != 0 {
		t.Errorf("before: %v, %d", masked, next)
	}
	if !taken(t, l, m, 0) || taken(t, l, m, 0) || !taken(t, l, mask("other"), 0) {
		t.Error("a copy is new once")
	}
	if changed, err := lift(t, l, key, m, id, 0, 0); err != nil || !changed {
		t.Fatal(changed, err)
	}
	if masked, _, next := l.Of(m); masked || next != 1 || len(l.Active()) != 1 {
		t.Errorf("lifted: %v, %d, %v", masked, next, l.Active())
	}
	if !taken(t, l, m, 1) {
		t.Error("it was not remembered again")
	}
	if changed, err := lift(t, l, key, m, id, 0, 0); err != nil || changed {
		t.Errorf("the same lifting once more: %v, %v", changed, err)
	}
	if taken(t, l, m, 0) || len(l.Active()) != 2 {
		t.Error("the first copy once more")
	}
}

// TestRedteam20_ForgedLiftings take nothing away.
func TestRedteam20_ForgedLiftings(t *testing.T) {
	key, _ := seal.Generate()
	other, _ := seal.Generate()
	m := mask("note")
	id, _ := m.Key()
	elsewhere, _ := mask("other").Key()
	for name, try := range map[string]func(l *Ledger) error{
		"another's key":        func(l *Ledger) error { _, err := lift(t, l, other, m, id, 0, 0); return err },
		"another copy's":       func(l *Ledger) error { _, err := lift(t, l, key, mask("other"), id, 0, 0); return err },
		"another generation's": func(l *Ledger) error { _, err := lift(t, l, key, m, id, 1, 0); return err },
		"ahead of its copy":    func(l *Ledger) error { _, err := lift(t, l, key, m, id, 1, 1); return err },
		"of a copy never made": func(l *Ledger) error { _, err := lift(t, l, key, mask("other"), elsewhere, 0, 0); return err },
		"a bundle's signature": func(l *Ledger) error {
			_, _, err := l.Lifted(id, 0, signedAs(t, key, seal.ContextBundle, m))
			return err
		},
		"an approval's": func(l *Ledger) error {
			_, _, err := l.Lifted(id, 0, signedAs(t, key, seal.ContextApproval, m))
			return err
		},
		"no signature": func(l *Ledger) error { _, _, err := l.Lifted(id, 0, []byte(`{"generation":0}`)); return err },
		"a copy in another name": func(l *Ledger) error {
			raw, _ := json.Marshal(m)
			_, _, err := l.Copy(elsewhere, 0, raw)
			return errors.Join(err, ErrForged)
		},
	} {
		l := NewLedger(key.Public())
		taken(t, l, m, 0)
		if err := try(l); !errors.Is(err, ErrForged) || len(l.Active()) != 1 {
			t.Errorf("%s: %v, %v", name, err, l.Active())
		}
	}
}

func signedAs(t *testing.T, k *seal.Key, context string, m Mask) []byte {
	t.Helper()
	payload, _ := json.Marshal(Lift{Mask: m})
	raw, err := proto.Marshal(k.Sign(context, payload))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
