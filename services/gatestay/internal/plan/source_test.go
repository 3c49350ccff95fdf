package plan

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// folder writes files and returns where they are.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// Files are read as their tool reads them: the same ones, in its order.
func TestFilesAreReadAsTheirToolDoes(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		tool  string
		after string
		want  string // sources in order
	}{
		"goose": {
			map[string]string{"10_b.sql": "-- +goose Up\nSELECT 10;", "00002_a.sql": "-- +goose Up\nSELECT 2;", "notes.sql": "DROP TABLE a", "3_c.go": "package m"},
			toolGoose, "", "00002_a.sql 10_b.sql",
		},
		"golang-migrate": {
			map[string]string{"10_b.up.sql": "SELECT 10", "9_a.up.sql": "SELECT 9", "9_a.down.sql": "DROP TABLE a"}, toolMigrate, "", "9_a.up.sql 10_b.up.sql",
		},
		"flyway": {
			map[string]string{"V1.10__b.sql": "SELECT 1", "V1_9__a.sql": "SELECT 2", "sub/V2__c.sql": "SELECT 3", "R__view.sql": "SELECT 4", "U1__undo.sql": "DROP TABLE a"},
			toolFlyway, "", "V1_9__a.sql V1.10__b.sql sub/V2__c.sql R__view.sql",
		},
		"prisma": {
			map[string]string{"20260102_b/migration.sql": "SELECT 2", "20260101_a/migration.sql": "SELECT 1", "20260101_a/down.sql": "DROP TABLE a"},
			toolPrisma, "", "20260101_a/migration.sql 20260102_b/migration.sql",
		},
		"those that have run are left out": {
			map[string]string{"1_a.up.sql": "SELECT 1", "2_b.up.sql": "SELECT 2", "10_c.up.sql": "SELECT 10"}, toolMigrate, "2", "10_c.up.sql",
		},
	} {
		t.Run(name, func(t *testing.T) {
			scripts, tool, err := read([]string{folder(t, c.files)}, strings.NewReader(""), "", c.after)
			if err != nil || tool != c.tool {
				t.Fatalf("%q, %v", tool, err)
			}
			var got []string
			for _, s := range scripts {
				got = append(got, s.Source)
				if !s.Together {
					t.Errorf("%s is not one transaction", s.Source)
				}
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("got %v, want %s", got, c.want)
			}
		})
	}
}

// What cannot be told, or is not what the tool will send, is refused.
func TestWhatIsNotClearIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		tool  string
		says  string
	}{
		"nobody's files":  {map[string]string{"a.sql": "SELECT 1", "b.sql": "SELECT 2"}, "", "--tool"},
		"two tools":       {map[string]string{"V1__a.sql": "SELECT 1", "1_b.up.sql": "SELECT 2"}, "", "say which"},
		"a version twice": {map[string]string{"1_a.up.sql": "SELECT 1", "01_b.up.sql": "SELECT 2"}, "", "same version"},
		"an environment":  {map[string]string{"1_a.sql": "-- +goose Up\n-- +goose ENVSUB ON\nSELECT '${SECRET}';"}, "", "environment"},
		"a placeholder":   {map[string]string{"V1__a.sql": "DROP TABLE ${table}"}, "", "${table}"},
		"nothing":         {map[string]string{"README.md": "none"}, toolGoose, "no migration"},
		"another tool":    {map[string]string{"a.sql": "SELECT 1"}, "liquibase", "not known"},
		"too much":        {map[string]string{"a.sql": strings.Repeat("SELECT 1;\n", maxRead/10+1)}, "", "several parts"},
	} {
		_, _, err := read([]string{folder(t, c.files)}, strings.NewReader(""), c.tool, "")
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := read([]string{filepath.Join(t.TempDir(), "none.sql")}, strings.NewReader(""), "", ""); err == nil {
		t.Error("a file that is not there is planned")
	}
}

// Of a goose file the Up part is sent, and its lines stay where they are.
func TestOfAGooseFileTheUpPartIsPlanned(t *testing.T) {
	text := "-- +goose NO TRANSACTION\n-- +goose Up\nSELECT 1;\n-- +goose StatementBegin\nDO $$ BEGIN\n-- kept\nEND $$;\n-- +goose StatementEnd\n-- +goose Down\nDROP TABLE a;\n"
	s, err := gooseScript(file{name: "1_a.sql", text: text})
	if err != nil || s.Together {
		t.Fatalf("%+v, %v", s, err)
	}
	if want := "\n\nSELECT 1;\n\nDO $$ BEGIN\n-- kept\nEND $$;\n\n\n\n"; s.Text != want {
		t.Errorf("got %q, want %q", s.Text, want)
	}
}

func TestStdinIsPlainSQL(t *testing.T) {
	scripts, tool, err := read([]string{"-"}, strings.NewReader("SELECT 1"), "", "")
	if err != nil || tool != toolSQL || len(scripts) != 1 || scripts[0].Text != "SELECT 1" || scripts[0].Together {
		t.Errorf("%v, %q, %v", scripts, tool, err)
	}
}
