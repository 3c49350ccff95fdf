package look

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/gatestay/gatestay/libs/event"
	"github.com/gatestay/gatestay/libs/masking"
	"github.com/gatestay/gatestay/libs/seal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

const secret = "ghp_abcdefghijklmnopqrstuvwxyz0123456789"

func key(t *testing.T) *seal.Key {
	t.Helper()
	k, err := seal.Generate()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// sealed returns a sealed batch of a gateway, marshalled, as a message.
func sealed(t *testing.T, k *seal.Key, records ...*eventv1.Record) Message {
	t.Helper()
	b := &eventv1.Batch{Producer: "gateway/gw1", Incarnation: "01J", Number: 7, PreviousHash: []byte("previous"), Records: records}
	if err := event.Seal(b, k); err != nil {
		t.Fatal(err)
	}
	raw, err := proto.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	return Message{Subject: "record.gw1", ID: event.ID(b), Data: raw}
}

func read(t *testing.T, raw []byte) *eventv1.Batch {
	t.Helper()
	b := &eventv1.Batch{}
	if err := proto.Unmarshal(raw, b); err != nil {
		t.Fatal(err)
	}
	return b
}

func TestCleanBatchKeepsItsBytes(t *testing.T) {
	k := key(t)
	m := sealed(t, k, &eventv1.Record{Id: "r1", Statement: "SELECT 1"})
	r, err := (&Looker{Key: key(t), Self: "masking/1", Deep: masking.Deep, Verify: func(b *eventv1.Batch) error { return event.Verify(b, k.Public()) }}).Look(m)
	if err != nil {
		t.Fatal(err)
	}
	if string(r.Raw) != string(m.Data) || len(r.Tell) != 0 || r.Placeholder != "" {
		t.Errorf("%+v", r)
	}
}

func TestRedactionLeavesTheBatchValidAndIsTold(t *testing.T) {
	k := key(t)
	m := sealed(t, k, &eventv1.Record{Id: "r1", SessionId: "s1", CommandId: "c1", Statement: "SELECT '" + secret + "'", Details: map[string]string{"user": secret}}, &eventv1.Record{Id: "r2"})
	l := &Looker{Key: key(t), Self: "masking/1", Deep: masking.Deep}
	r, err := l.Look(m)
	if err != nil {
		t.Fatal(err)
	}
	b := read(t, r.Raw)
	if err := event.Verify(b, k.Public()); err != nil {
		t.Errorf("a redaction must leave the batch valid: %v", err)
	}
	got := event.Redacted(b.Records[0])
	slices.Sort(got)
	if !slices.Equal(got, []string{"details.user", "statement"}) || strings.Contains(string(r.Raw), secret) {
		t.Errorf("redacted %v: %s", got, b.Records[0])
	}
	if len(r.Tell) != 1 {
		t.Fatalf("told %v", r.Tell)
	}
	told := r.Tell[0]
	if told.Kind != eventv1.Kind_KIND_REDACTION || told.SessionId != "s1" || told.CommandId != "c1" || told.Details["record"] != "r1" ||
		told.Details["fields"] != "statement,details.user" || told.Details["batch"] != "gateway/gw1/01J/7" {
		t.Errorf("told %v", told)
	}
	if redactions := masking.Deep(told); len(redactions) != 0 {
		t.Errorf("what is told holds something to redact: %v", redactions)
	}
	if r.Redacted["github-token"] != 2 {
		t.Errorf("counted %v", r.Redacted)
	}
	again, err := l.Look(m)
	if err != nil || again.Tell[0].Id != told.Id {
		t.Errorf("a redelivery tells under another id: %v", err)
	}
}

// Every name that masking.Deep gives a field is one of libs/event's: else a
// redaction would show as a manipulation.
func TestRedactedFieldsAreCommittedFields(t *testing.T) {
	k := key(t)
	m := sealed(t, k, &eventv1.Record{Id: "r", Statement: secret, Parameters: []string{"1", secret}, Reason: secret, Message: secret, Details: map[string]string{"x": secret}})
	r, err := (&Looker{Key: k, Deep: masking.Deep}).Look(m)
	if err != nil {
		t.Fatal(err)
	}
	want := event.Redacted(read(t, r.Raw).Records[0])
	got := strings.Split(r.Tell[0].Details["fields"], ",")
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("told %v, changed %v", got, want)
	}
}

func TestOwnBatchesTellNothing(t *testing.T) {
	k := key(t)
	b := &eventv1.Batch{Producer: "masking/1", Incarnation: "01J", Number: 1, Records: []*eventv1.Record{
		{Id: "r", Message: secret, Objects: []*eventv1.Object{{Name: secret}}, Kind: eventv1.Kind_KIND_REDACTION},
	}}
	if err := event.Seal(b, k); err != nil {
		t.Fatal(err)
	}
	raw, err := proto.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	r, err := (&Looker{Key: k, Self: "masking/1", Deep: masking.Deep}).Look(Message{Subject: "admin.masking.1", Data: raw})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Tell) != 0 || read(t, r.Raw).Records[0].Message != "[redacted:github-token]" {
		t.Errorf("%+v", r)
	}
}

func TestUnreadableBatchIsReplacedUnderItsNumber(t *testing.T) {
	own := key(t)
	good := sealed(t, key(t), &eventv1.Record{Id: "r", Statement: secret})
	panicking := func(*eventv1.Record) []masking.Redaction { panic("boom") }
	for name, tc := range map[string]struct {
		message Message
		deep    func(*eventv1.Record) []masking.Redaction
		reason  string
	}{
		"garbage":          {Message{Subject: good.Subject, ID: good.ID, Data: []byte("\xff\xff\xff")}, masking.Deep, "it cannot be unmarshalled"},
		"cut short":        {Message{Subject: good.Subject, ID: good.ID, Data: good.Data[:len(good.Data)-3]}, masking.Deep, "it cannot be unmarshalled"},
		"empty":            {Message{Subject: good.Subject, ID: good.ID}, masking.Deep, "it names no producer"},
		"looking panicked": {good, panicking, "looking at it failed"},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := (&Looker{Key: own, Self: "masking/1", Deep: tc.deep}).Look(tc.message)
			if err != nil {
				t.Fatal(err)
			}
			b := read(t, r.Raw)
			if event.ID(b) != "gateway/gw1/01J/7" || b.PlaceholderReason != tc.reason || r.Placeholder != tc.reason || len(b.Records) != 0 {
				t.Errorf("placeholder %v", b)
			}
			if err := event.Verify(b, own.Public()); err != nil {
				t.Error(err)
			}
			if len(r.Tell) != 1 || r.Tell[0].Kind != eventv1.Kind_KIND_FINDING || r.Tell[0].Action != "batch.replaced" {
				t.Errorf("told %v", r.Tell)
			}
		})
	}
}

// Who may publish under one subject must not fill another producer's numbers.
func TestRedteam17_ForeignProducerIsDropped(t *testing.T) {
	l := &Looker{Key: key(t), Self: "masking/1", Deep: masking.Deep}
	good := sealed(t, key(t), &eventv1.Record{Id: "r"})
	for name, m := range map[string]Message{
		"another gateway's batch":      {Subject: "record.gw2", ID: good.ID, Data: good.Data},
		"a gateway's batch as admin":   {Subject: "admin.gateway.gw2", ID: good.ID, Data: good.Data},
		"garbage in another's name":    {Subject: "record.gw2", ID: good.ID, Data: []byte("\xff")},
		"garbage without a name":       {Subject: "record.gw1", Data: []byte("\xff")},
		"a number with a sign":         {Subject: "record.gw1", ID: "gateway/gw1/01J/+7", Data: []byte("\xff")},
		"a number of zero":             {Subject: "record.gw1", ID: "gateway/gw1/01J/0", Data: []byte("\xff")},
		"a batch without a number":     {Subject: "record.gw1", Data: []byte("\x0a\x0bgateway/gw1\x12\x03" + "01J")},
		"a batch without incarnation":  {Subject: "record.gw1", Data: []byte("\x0a\x0bgateway/gw1\x18\x01")},
		"text that is no batch at all": {Subject: "record.gw1", ID: "x", Data: []byte("hello")},
	} {
		if r, err := l.Look(m); !errors.Is(err, ErrNowhere) {
			t.Errorf("%s: %v %+v", name, err, r)
		}
	}
}

func TestRedteam17_UnverifiedProducerIsToldOnce(t *testing.T) {
	forger := key(t)
	l := &Looker{Key: key(t), Self: "masking/1", Deep: masking.Deep, Verify: func(b *eventv1.Batch) error { return event.Verify(b, key(t).Public()) }}
	for i := range 3 {
		r, err := l.Look(sealed(t, forger, &eventv1.Record{Id: "r"}))
		if err != nil {
			t.Fatal(err)
		}
		if told := len(r.Tell) == 1 && r.Tell[0].Action == "batch.unverified"; told != (i == 0) {
			t.Errorf("look %d told %v", i, r.Tell)
		}
	}
}

func TestSecretThatCannotBeRedactedIsAFinding(t *testing.T) {
	k := key(t)
	r, err := (&Looker{Key: k, Self: "masking/1", Deep: masking.Deep}).Look(sealed(t, k, &eventv1.Record{Id: "r", Objects: []*eventv1.Object{{Name: secret}}}))
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Tell) != 1 || r.Tell[0].Action != "secret.not_redactable" || r.Tell[0].Details["field"] != "objects.0" {
		t.Errorf("told %v", r.Tell)
	}
}
