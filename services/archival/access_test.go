package archival

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/gatestay/gatestay/libs/bus"
	"github.com/gatestay/gatestay/libs/config"
	"github.com/gatestay/gatestay/libs/localissuer"
	"github.com/gatestay/gatestay/libs/seal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// people publishes a policy bundle, which brings the people map.
func (w *world) people(version uint64, key *seal.Key, yaml string) {
	w.Helper()
	payload, err := proto.Marshal(&eventv1.Bundle{Kind: "policy", Version: version, Files: map[string][]byte{"people.yaml": []byte(yaml), "rules.yaml": []byte("rules: []\n")}})
	if err != nil {
		w.Fatal(err)
	}
	raw, err := proto.Marshal(key.Sign(seal.ContextBundle, payload))
	if err != nil {
		w.Fatal(err)
	}
	kv, err := w.bus.JS.KeyValue(w.Context(), bus.BucketPolicy)
	if err != nil {
		w.Fatal(err)
	}
	if _, err := kv.Put(w.Context(), bus.BundleKey, raw); err != nil {
		w.Fatal(err)
	}
}

func get(ctx context.Context, s *Service, path, token string) (status int, body string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.Addr()+path, nil)
	if err != nil {
		return 0, "", err
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = response.Body.Close() }()
	raw, err := io.ReadAll(response.Body)
	return response.StatusCode, string(raw), err
}

func TestArchival_answersAuditorsOnly(t *testing.T) {
	w := newWorld(t)
	issuer, err := localissuer.New(localissuer.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- issuer.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	token := map[string]string{"nobody": ""}
	for _, name := range []string{"dana", "kim"} {
		if token[name], err = issuer.SignIn(name, "gatestay-cli", ""); err != nil {
			t.Fatal(err)
		}
	}
	w.cfg.People = config.SignIn{Issuer: issuer.URL(), ClientID: "gatestay-cli", Loopback: true, Auditors: []string{"dana"}}
	s, _ := w.start()
	w.write(w.producer("gw1"), "seen", 1, 3)
	w.onceAndInOrder(3)
	const path = "/v1/audit/search?repository=acme/shop"
	const mapped = "people:\n  - name: dana\n    accounts: [\"oidc:dana@acme.example\", \"slack:U0DANA\"]\n"

	expect := func(who string, status int) string {
		t.Helper()
		var body string
		w.eventually(func() error {
			got, said, err := get(t.Context(), s, path, token[who])
			body = said
			if err == nil && got != status {
				err = fmt.Errorf("%s: %d %s, want %d", who, got, said, status)
			}
			return err
		})
		return body
	}
	expect("dana", http.StatusForbidden) // no people map yet
	stranger, err := seal.Generate()
	if err != nil {
		t.Fatal(err)
	}
	w.people(1, stranger, "people:\n  - name: dana\n    accounts: [\"oidc:kim@acme.example\"]\n")
	w.people(2, w.keys["policy"], mapped)
	body := expect("dana", http.StatusOK)
	var found struct {
		Commands []struct {
			Statement string `json:"statement"`
		} `json:"commands"`
	}
	if err := json.Unmarshal([]byte(body), &found); err != nil || len(found.Commands) != 3 || found.Commands[0].Statement != "SELECT 3" {
		t.Errorf("%v: %s", err, body)
	}
	expect("kim", http.StatusForbidden)
	expect("nobody", http.StatusUnauthorized)
	look := w.findingOnBus("audit.searched", map[string]string{"repository": "acme/shop", "account": "oidc:dana@acme.example"})
	if look.Actor != "dana" || look.Kind != eventv1.Kind_KIND_ADMIN {
		t.Errorf("the look is on record as %v", look)
	}
	w.findingOnBus("audit.refused", map[string]string{"account": "oidc:kim@acme.example"})

	w.people(3, w.keys["policy"], "people: []\n")
	expect("dana", http.StatusForbidden)
}

func TestArchival_sayWhatIsMissingInItsConfiguration(t *testing.T) {
	w := newWorld(t)
	w.cfg.Archival, w.cfg.Trust.Records = config.Archival{Instance: "a.b"}, nil
	_, err := New(w.cfg, Deps{})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, path := range []string{"archival.clickhouse.address", "archival.key", "archival.listen", "trust.records", "archival.instance"} {
		if !strings.Contains(err.Error(), "$."+path) {
			t.Errorf("%s is not mentioned: %v", path, err)
		}
	}
}
