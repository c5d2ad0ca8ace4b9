package deletion_test

import (
	"fmt"
	"slices"
	"time"
)

// The model: what DOMAIN's decisions say about clients, groups and rounds, written a second time, without a database,
// without concurrency and with its own count of months. It knows nothing of the product's code.

type day = time.Time // midnight UTC; the model counts days only

func date(y int, m time.Month, d int) day { return time.Date(y, m, d, 0, 0, 0, 0, time.UTC) }

// monthsLater clamps to the end of the month (D1).
func monthsLater(d day, n int) day {
	first := date(d.Year(), d.Month()+time.Month(n), 1)
	days := date(first.Year(), first.Month()+1, 1).Sub(first).Hours() / 24
	return first.AddDate(0, 0, min(d.Day(), int(days))-1)
}

// quarterFrom is the first 01.01, 01.04, 01.07 or 01.10 on or after d (P42).
func quarterFrom(d day) day {
	for d.Day() != 1 || (d.Month()-1)%3 != 0 {
		d = d.AddDate(0, 0, 1)
	}
	return d
}

func later(a, b day) day {
	if a.After(b) {
		return a
	}
	return b
}

type (
	mClient struct {
		name     string
		status   string
		ended    day // of the newest entry that made it inactive
		home     int
		unplaced string
		gone     bool
	}
	mRound struct {
		number string
		on     day
		extra  bool
		state  string
	}
	mItem struct {
		round   *mRound
		client  *mClient
		state   string
		reasons []string
		carried int
		frozen  bool
	}
	mHold struct {
		client *mClient // or
		home   int
		stands bool
	}
	mDevice struct {
		client *mClient // has it; or
		home   int      // hangs there; -1: neither
		been   []*mClient
		hung   []int
	}
	model struct {
		today   day
		clients []*mClient
		rounds  []*mRound
		items   []*mItem
		holds   []*mHold
		devices []*mDevice
	}
)

func (c *mClient) inactive() bool { return c.status == "disconnected" || c.status == "cancelled" }
func (c *mClient) due() day       { return monthsLater(c.ended, 6) } // D2: inclusive
func (i *mItem) open() bool       { return i.state == "placed" || i.state == "ready" || i.state == "blocked" }

func (m *model) held(c *mClient) bool {
	return slices.ContainsFunc(m.holds, func(h *mHold) bool { return h.stands && (h.client == c || h.client == nil && h.home == c.home) })
}

func (m *model) item(c *mClient) *mItem {
	for _, i := range m.items {
		if i.client == c && i.open() {
			return i
		}
	}
	return nil
}

func (m *model) of(r *mRound, states ...string) (found []*mItem) {
	for _, i := range m.items {
		if i.round == r && slices.Contains(states, i.state) {
			found = append(found, i)
		}
	}
	return found
}

// against lists all that keeps a client on a day.
func (m *model) against(c *mClient, on day) (reasons []string) {
	if on.Before(c.due()) {
		reasons = append(reasons, "too_early")
	}
	if m.held(c) {
		reasons = append(reasons, "held")
	}
	if slices.ContainsFunc(m.devices, func(d *mDevice) bool { return d.client == c }) {
		reasons = append(reasons, "device_on_client")
	}
	if slices.ContainsFunc(m.devices, func(d *mDevice) bool { return d.client == nil && d.home == c.home }) {
		reasons = append(reasons, "device_on_address") // P31
	}
	return reasons
}

// calendar keeps the groups: four quarters ahead, and as far as somebody needs one (D9).
func (m *model) calendar(until day) {
	first := quarterFrom(m.today.AddDate(0, 0, 1))
	for d := first; !d.After(later(monthsLater(first, 12), quarterFrom(until))); d = monthsLater(d, 3) {
		if !slices.ContainsFunc(m.rounds, func(r *mRound) bool { return !r.extra && r.on.Equal(d) }) {
			m.rounds = append(m.rounds, &mRound{number: "3218-" + d.Format("060102"), on: d, state: "open"})
		}
	}
	slices.SortStableFunc(m.rounds, func(a, b *mRound) int { return a.on.Compare(b.on) })
}

// group is the first open one on or after a day.
func (m *model) group(from day) *mRound {
	for _, r := range m.rounds {
		if r.state == "open" && !r.extra && !r.on.Before(from) {
			return r
		}
	}
	m.calendar(from)
	return m.group(from)
}

// place puts an inactive client in its group, or says why not (D10, D15).
func (m *model) place(c *mClient) {
	if c.unplaced = ""; m.held(c) {
		c.unplaced = "held"
		return
	}
	m.items = append(m.items, &mItem{round: m.group(c.due()), client: c, state: "placed"})
}

// out takes a client out of its group: what is frozen is marked withdrawn, for the list only shrinks (D12).
func (m *model) out(c *mClient, state, reason string) {
	if i := m.item(c); i != nil {
		i.reasons = []string{reason}
		if i.state = state; i.frozen {
			i.state = "withdrawn"
		}
	}
}

func (m *model) end(c *mClient, status string) {
	m.out(c, "moved", "status")
	c.status, c.ended = status, m.today
	m.place(c)
}

func (m *model) reactivate(c *mClient) {
	m.out(c, "withdrawn", "reactivated")
	c.status, c.unplaced = "active", ""
}

func (m *model) hold(h *mHold) {
	h.stands = true
	m.holds = append(m.holds, h)
	for _, c := range m.clients {
		if !c.gone && (h.client == c || h.client == nil && h.home == c.home) {
			m.out(c, "withdrawn", "held")
			if c.inactive() {
				c.unplaced = "held"
			}
		}
	}
}

func (m *model) release(h *mHold) {
	h.stands = false
	for _, c := range m.clients {
		if !c.gone && c.unplaced != "" && (h.client == c || h.client == nil && h.home == c.home) {
			m.place(c)
		}
	}
}

// move says with which code a move is refused, or does it (D10).
func (m *model) move(c *mClient, to *mRound) string {
	i := m.item(c)
	switch first := (*mRound)(nil); {
	case c.inactive() && i == nil && m.held(c):
		return "unplaced_held"
	case !c.inactive():
		return "not_inactive"
	case to.on.Before(c.due()):
		return "too_early"
	case to.state != "open" || to.extra:
		return "closed"
	case i != nil && i.round == to:
		return ""
	default:
		if first = m.group(c.due()); to.on.After(monthsLater(first.on, 3)) {
			return "too_late"
		}
	}
	fresh := &mItem{round: to, client: c, state: "placed"}
	if i != nil {
		fresh.carried = i.carried
	}
	m.out(c, "moved", "moved")
	c.unplaced = ""
	m.items = append(m.items, fresh)
	return ""
}

// judge assesses the open items of a round for its day; who may not lie in a group at all leaves.
func (m *model) judge(r *mRound) {
	for _, i := range m.of(r, "placed", "ready", "blocked") {
		why := m.against(i.client, later(m.today, r.on))
		switch {
		case m.held(i.client):
			m.leave(i)
		case len(why) == 0:
			i.state, i.reasons = "ready", nil
		default:
			i.state, i.reasons = "blocked", why
		}
	}
}

func (m *model) leave(i *mItem) {
	m.out(i.client, "withdrawn", "held")
	i.client.unplaced = "held"
}

// carry moves items on to the next run, with reason and counter (D15).
func (m *model) carry(i *mItem, why []string, counts int) {
	if m.held(i.client) {
		m.leave(i)
		return
	}
	i.state, i.reasons = "carried", why
	from := later(later(m.today, i.round.on).AddDate(0, 0, 1), i.client.due())
	m.items = append(m.items, &mItem{round: m.group(from), client: i.client, state: "placed", carried: i.carried + counts})
}

// deviate blocks whoever had a device that was not found in stock (D27).
func (m *model) deviate(r *mRound, d *mDevice) {
	for _, i := range m.of(r, "ready") {
		if slices.Contains(d.been, i.client) || slices.Contains(d.hung, i.client.home) {
			i.state, i.reasons = "blocked", []string{"spot_check"}
		}
	}
}

func (m *model) approve(r *mRound) {
	for _, i := range m.of(r, "placed", "blocked") {
		m.carry(i, i.reasons, 1)
	}
	for _, i := range m.of(r, "ready") {
		i.frozen = true
	}
	r.state = "approved"
}

// notRun is a round that is cancelled or has lapsed (D11).
func (m *model) notRun(r *mRound, state string) {
	for _, i := range m.of(r, "placed", "ready", "blocked") {
		m.carry(i, []string{"not_run"}, 0)
	}
	r.state = state
}

// work is what the workers do with the rounds that run.
func (m *model) work() (finished []*mRound) {
	for _, r := range slices.Clone(m.rounds) {
		if r.state != "running" {
			continue
		}
		for _, i := range m.of(r, "ready") {
			if why := m.against(i.client, m.today); len(why) > 0 {
				m.carry(i, why, 1)
				continue
			}
			i.state, i.reasons, i.client.gone = "purged", nil, true
		}
		r.state = "finished"
		finished = append(finished, r)
	}
	return finished
}

// takable says why a run today could not take all of the clients; empty when it could.
func (m *model) takable(clients []*mClient) string {
	for _, c := range clients {
		if !c.inactive() {
			return "clients_not_inactive"
		}
	}
	for _, c := range clients {
		if i := m.item(c); i != nil && i.round.state != "open" {
			return "clients_in_round"
		}
	}
	for _, c := range clients {
		if m.held(c) || m.today.Before(c.due()) {
			return "clients_not_deletable"
		}
	}
	return ""
}

// order fills an extra round with those of the clients that a run today may take (D17).
func (m *model) order(clients []*mClient) *mRound {
	n := 1
	for _, r := range m.rounds {
		if r.extra && r.on.Equal(m.today) {
			n++
		}
	}
	r := &mRound{number: fmt.Sprintf("3218-%s-E%d", m.today.Format("060102"), n), on: m.today, extra: true, state: "proposed"}
	m.rounds = append(m.rounds, r)
	for _, c := range clients {
		i := m.item(c)
		if !c.inactive() || m.held(c) || m.today.Before(c.due()) || i != nil && i.state != "placed" {
			continue
		}
		fresh := &mItem{round: r, client: c, state: "placed"}
		if i != nil {
			i.state, i.reasons, fresh.carried = "moved", []string{"extra_run"}, i.carried
		}
		c.unplaced = ""
		m.items = append(m.items, fresh)
	}
	m.judge(r)
	return r
}

// sweep is the system's own tick.
func (m *model) sweep() {
	m.calendar(day{})
	for _, c := range m.clients {
		if !c.gone && c.unplaced != "" {
			m.place(c)
		}
	}
	for _, r := range slices.Clone(m.rounds) {
		next := quarterFrom(r.on.AddDate(0, 0, 1))
		if r.extra {
			next = monthsLater(r.on, 3)
		}
		if slices.Contains([]string{"open", "proposed", "controlled", "approved"}, r.state) && !m.today.Before(next) {
			m.notRun(r, "lapsed")
		}
	}
	for _, r := range slices.Clone(m.rounds) {
		if r.state == "open" && !r.extra && !r.on.After(m.today.AddDate(0, 0, 14)) {
			r.state = "proposed"
			m.judge(r)
		}
	}
}
