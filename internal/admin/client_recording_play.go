package admin

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/go-chi/chi/v5"
)

// playRecording streams one recording. Listening is a look of its own (D25), so each request for a piece of the sound
// writes its row before a byte is sent.
func (s *Server) playRecording(w http.ResponseWriter, r *http.Request) error {
	id, err := client.ParseID(chi.URLParam(r, "client"))
	if err != nil {
		return err
	}
	number, err := strconv.ParseInt(chi.URLParam(r, "recording"), 10, 64)
	if err != nil {
		return problem.NotFound{What: "recording"}
	}
	var recording client.Recording
	err = s.DB.InTx(r.Context(), edge.Caller(r), func(tx *pg.Tx) error {
		if recording, err = client.FindRecording(r.Context(), tx, id, number); err != nil {
			return err
		}
		return client.Opened(r.Context(), tx, id, "recording")
	})
	if err != nil {
		return err
	}
	sound, err := s.Blobs.Open(r.Context(), recording.BlobKey)
	if err != nil {
		return err
	}
	defer sound.Close() //nolint:errcheck // it was only read
	first := make([]byte, 512)
	n, err := io.ReadFull(sound, first)
	if err != nil && n == 0 {
		return problem.NotFound{What: "recording"}
	}
	if _, err := sound.Seek(0, io.SeekStart); err != nil {
		return problem.Unavailable{What: "blob store"}
	}
	kind := http.DetectContentType(first[:n])
	if !strings.HasPrefix(kind, "audio/") && kind != "application/ogg" {
		kind = "application/octet-stream"
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Disposition", "inline")
	http.ServeContent(w, r, "", time.Time{}, sound)
	return nil
}
