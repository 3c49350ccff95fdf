package bench

import (
	"context"
	"fmt"

	"github.com/gatestay/gatestay/e2e/kit"
)

var protocols = []string{"simple", "extended", "prepared"}

func selectName(protocol string, clients int, contender string, tls bool) string {
	return withTLS(fmt.Sprintf("postgres/select/%s/%d/%s", protocol, clients, contender), tls)
}

func cpuName(protocol string, clients int, contender string, tls bool) string {
	return selectName(protocol, clients, contender, tls) + "/cpu"
}

// grantSelect lets the gateway's account read what pgbench has made.
func grantSelect(ctx context.Context, g *kit.Gatestay) error {
	if err := initialise(ctx, superuser(g)); err != nil {
		return err
	}
	if err := g.DB.Exec(ctx, "shop", "GRANT SELECT, UPDATE ON ALL TABLES IN SCHEMA public TO app"); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	return nil
}

// selects measures pgbench's select in every protocol.
func selects(ctx context.Context, _ *kit.Gatestay, all [2][]*contender, t *table) error {
	for r := range t.options.Rounds {
		t.options.Log(fmt.Sprintf("select: round %d of %d", r+1, t.options.Rounds))
		for _, clients := range t.options.Clients {
			for _, protocol := range protocols {
				for _, set := range all {
					for i := range set {
						c := set[(i+r)%len(set)] // nobody is always first
						if err := t.measure(ctx, c, protocol, clients); err != nil {
							return fmt.Errorf("%s, %s, %d clients, tls %v: %w", c.name, protocol, clients, c.tls, err)
						}
					}
				}
			}
		}
	}
	return nil
}

func (t *table) measure(ctx context.Context, c *contender, protocol string, clients int) error {
	name := selectName(protocol, clients, c.name, c.tls)
	if c.unable == protocol || c.results || !t.wants(name) {
		return nil
	}
	via, err := c.connect(ctx)
	if err != nil {
		return err
	}
	result, err := pgbench(ctx, via, protocol, clients, t.options.Seconds, c.cpu)
	if err != nil {
		return err
	}
	t.at(name, "transactions/s").add(result.tps)
	if c.pid != 0 {
		t.at(name+"/cpu", "µs").add(float64(result.cpu.Nanoseconds()) / 1000)
	}
	if c.records {
		t.sent += int(result.transactions)
		t.at("journal/records", "records/s").most(2 * result.tps)
	}
	return nil
}

func printSelects(t *table) {
	for _, tls := range []bool{false, true} {
		t.grid("Selects a second, "+secured(tls)+": median (least–greatest)", names, func(p string, n int, c string) string { return selectName(p, n, c, tls) })
		t.grid("The proxy's CPU a select, "+secured(tls)+", µs", names[1:], func(p string, n int, c string) string { return cpuName(p, n, c, tls) })
	}
}

func (t *table) grid(title string, columns []string, name func(protocol string, clients int, contender string) string) {
	var lines []line
	for _, clients := range t.options.Clients {
		for _, p := range protocols {
			lines = append(lines, line{fmt.Sprintf("%s, %d", p, clients), func(c string) string { return name(p, clients, c) }})
		}
	}
	t.lines(title, columns, lines)
}

func superuser(g *kit.Gatestay) connection {
	c := target(g, true)
	c.user, c.password = g.DB.Superuser, g.DB.Password
	return c
}
