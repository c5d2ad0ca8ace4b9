package admin

import (
	"net/http"
	"strconv"

	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/edge"
)

func init() {
	head := sampleHead("recordings")
	edge.Pages["client-recordings"] = recordingsPage{head, []client.Recording{{ID: 1, At: head.Client.StatusSince, Seconds: 83.4}}}
}

// recordingsPage is the tab Opptak.
type recordingsPage struct {
	clientHead
	Recordings []client.Recording
}

// Length is "1:23".
func (recordingsPage) Length(seconds float64) string {
	whole := int(seconds + .5)
	rest := strconv.Itoa(whole % 60)
	if len(rest) < 2 {
		rest = "0" + rest
	}
	return strconv.Itoa(whole/60) + ":" + rest
}

func (s *Server) clientRecordings(w http.ResponseWriter, r *http.Request) error {
	page := recordingsPage{}
	return s.showClient(w, r, http.StatusOK, "client-recordings", &page, "recordings", read(&page.Recordings, &page.clientHead, client.Recordings))
}
