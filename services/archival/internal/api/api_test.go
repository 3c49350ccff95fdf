package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"github.com/gatestay/gatestay/libs/identity"
	"github.com/gatestay/gatestay/services/archival/internal/store"
)

// fake is the surroundings of the API.
type fake struct {
	person  string // who is signed in; empty for nobody
	filter  store.Filter
	more    *store.Cursor
	asked   int
	looks   []string // on record, in order, "asked" for each question
	noStore error
	noBus   error
}

func (f *fake) Search(_ context.Context, filter store.Filter) ([]store.Command, *store.Cursor, error) {
	f.asked++
	f.filter = filter
	f.looks = append(f.looks, "asked")
	return []store.Command{{CommandID: "cmd_1"}}, f.more, f.noStore
}

func (f *fake) Session(_ context.Context, id string) (*store.Session, error) {
	f.asked++
	f.looks = append(f.looks, "asked")
	if id == "ses_none" {
		return nil, store.ErrNoSession
	}
	return &store.Session{SessionID: id}, f.noStore
}

func (f *fake) get(t *testing.T, path string) (status int, body map[string]any) {
	t.Helper()
	mux := http.NewServeMux()
	(&API{
		Store: f, Log: zerolog.Nop(),
		Auditor: func(account string) (string, bool) { return "dana", account == "oidc:dana@acme.example" },
		Record: func(_ context.Context, actor, action string, details map[string]string) error {
			f.looks = append(f.looks, fmt.Sprint(actor, " ", action, " ", details))
			return f.noBus
		},
		RequirePerson: func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if f.person == "" {
					w.WriteHeader(http.StatusUnauthorized)
					return
				}
				next.ServeHTTP(w, r.WithContext(identity.WithPerson(r.Context(), &identity.Person{Account: f.person})))
			})
		},
	}).Mount(mux)
	answer := httptest.NewRecorder()
	mux.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, path, nil))
	if answer.Body.Len() > 0 {
		if err := json.Unmarshal(answer.Body.Bytes(), &body); err != nil {
			t.Fatalf("%s: %v", answer.Body, err)
		}
	}
	return answer.Code, body
}

const dana = "oidc:dana@acme.example"

func TestSearch_readsItsParameters(t *testing.T) {
	f := &fake{person: dana}
	status, body := f.get(t, "/v1/audit/search?principal=p&repository=r&target=t&object=o&verdict=hold&text=x&since=2026-11-01T00:00:00Z&until=2026-11-02T00:00:00%2B01:00&limit=7")
	want := store.Filter{
		Principal: "p", Repository: "r", Target: "t", Object: "o", Verdict: "hold", Text: "x", Limit: 7,
		Since: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), Until: time.Date(2026, 11, 1, 23, 0, 0, 0, time.UTC),
	}
	if status != http.StatusOK || !f.filter.Until.Equal(want.Until) {
		t.Fatalf("%d, %v", status, body)
	}
	f.filter.Until = want.Until
	if diff := cmp.Diff(want, f.filter); diff != "" {
		t.Error(diff)
	}
	if len(body["commands"].([]any)) != 1 || body["next"] != nil {
		t.Errorf("got %v", body)
	}
}

func TestSearch_pages(t *testing.T) {
	f := &fake{person: dana, more: &store.Cursor{Time: time.Unix(1_764_000_000, 123_456_789).UTC(), ID: "01J/x"}}
	_, body := f.get(t, "/v1/audit/search")
	next, _ := body["next"].(string)
	if status, _ := f.get(t, "/v1/audit/search?cursor="+url.QueryEscape(next)); status != http.StatusOK || cmp.Diff(*f.more, f.filter.After) != "" {
		t.Fatalf("%d: %+v", status, f.filter.After)
	}
}

func TestSearch_refusesWhatItDoesNotUnderstand(t *testing.T) {
	for name, query := range map[string]string{
		"unknown parameter":  "principle=kim",
		"repeated parameter": "target=a&target=b",
		"verdict":            "verdict=denied",
		"since":              "since=yesterday",
		"year":               "since=0001-01-01T00:00:00Z",
		"no time between":    "since=2026-11-02T00:00:00Z&until=2026-11-01T00:00:00Z",
		"limit":              "limit=100000",
		"negative limit":     "limit=-1",
		"cursor":             "cursor=xx",
		"too long":           "text=" + strings.Repeat("x", 2000),
	} {
		t.Run(name, func(t *testing.T) {
			f := &fake{person: dana}
			status, body := f.get(t, "/v1/audit/search?"+query)
			if status != http.StatusBadRequest || body["code"] != "bad_request" || f.asked != 0 {
				t.Fatalf("%d, %v, asked %d times", status, body, f.asked)
			}
		})
	}
}

func TestSession_unknown(t *testing.T) {
	f := &fake{person: dana}
	if status, body := f.get(t, "/v1/audit/sessions/ses_none"); status != http.StatusNotFound || body["code"] != "no_session" {
		t.Fatalf("%d, %v", status, body)
	}
	if status, body := f.get(t, "/v1/audit/sessions/ses_1"); status != http.StatusOK || body["session_id"] != "ses_1" {
		t.Fatalf("%d, %v", status, body)
	}
}

// Nobody sees an audit unless they are an auditor and the look is on record.
func TestLooks_areRecordedBeforeTheyAreAnswered(t *testing.T) {
	for _, path := range []string{"/v1/audit/search?target=prod-db", "/v1/audit/sessions/ses_1"} {
		t.Run(path, func(t *testing.T) {
			f := &fake{person: dana}
			if status, _ := f.get(t, path); status != http.StatusOK || len(f.looks) != 2 || !strings.HasPrefix(f.looks[0], "dana audit.") || f.looks[1] != "asked" {
				t.Errorf("%d, %v", status, f.looks)
			}
			f = &fake{}
			if status, _ := f.get(t, path); status != http.StatusUnauthorized || f.asked != 0 {
				t.Errorf("signed out: %d, asked %d times", status, f.asked)
			}
			f = &fake{person: "oidc:mallory@acme.example"}
			if status, body := f.get(t, path); status != http.StatusForbidden || body["code"] != "not_an_auditor" || f.asked != 0 ||
				!strings.HasPrefix(f.looks[0], "oidc:mallory@acme.example audit.refused") {
				t.Errorf("no auditor: %d, %v, %v", status, body, f.looks)
			}
			f = &fake{person: dana, noBus: errors.New("no responders")}
			if status, body := f.get(t, path); status != http.StatusServiceUnavailable || body["code"] != "not_recorded" || f.asked != 0 {
				t.Errorf("bus down: %d, %v, asked %d times", status, body, f.asked)
			}
			f = &fake{person: dana, noStore: fmt.Errorf("%w: dial tcp 10.0.0.1:9000", store.ErrUnavailable)}
			if status, body := f.get(t, path); status != http.StatusServiceUnavailable || body["code"] != "store_unavailable" || strings.Contains(fmt.Sprint(body), "10.0.0.1") {
				t.Errorf("store down: %d, %v", status, body)
			}
		})
	}
}
