package admin

import (
	"context"
	"net/http"
	"time"

	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/pg"
)

func init() {
	at, day := time.Date(2023, 3, 14, 14, 7, 0, 0, time.UTC), calendar.On(2023, 3, 14)
	edge.Pages["client-properties"] = propertiesPage{sampleHead("properties"), []client.Property{{Name: "Nøkkelboks", Value: "Ja"}}}
	edge.Pages["client-kin"] = kinPage{sampleHead("kin"), []client.Relative{{Name: "Anne Hansen", Relation: "Datter", Phone: "900 00 173", HasKey: true}}}
	edge.Pages["client-professionals"] = professionalsPage{sampleHead("professionals"), []client.Professional{{Name: "Eva Lund", Profession: "Fastlege", Phone: "900 00 174"}}}
	edge.Pages["client-medical"] = medicalPage{sampleHead("medical"), []client.MedicalEntry{{At: at, Text: "Hjertesvikt", EnteredByName: "Jonas Lie"}}}
	edge.Pages["client-medication"] = medicationPage{sampleHead("medication"), []client.Medication{{Name: "Metoprolol", Dose: "50 mg", Since: day}, {Name: "Paracet", Since: day, Until: day}}}
	edge.Pages["client-plans"] = plansPage{
		sampleHead("plans"),
		[]client.CarePlan{{Goal: "Bo hjemme", Since: day, Until: day, Entries: []client.CarePlanEntry{{At: at, Text: "Besøk"}}}},
		[]client.Communication{{At: at, Channel: "phone", Text: "Ringte", EnteredByName: "Jonas Lie"}},
	}
	edge.Pages["client-alarms"] = alarmsPage{clientHead: sampleHead("alarms"), Alarms: []client.Alarm{{At: at, Kind: "fall_detected", Text: "Fall", DeviceCode: "300412"}}, Older: "1-2", Begun: true}
}

// The tabs that are only read. Each has its own page, so that each look says what was looked at (D25).
type (
	propertiesPage struct {
		clientHead
		Properties []client.Property
	}
	kinPage struct {
		clientHead
		Kin []client.Relative
	}
	professionalsPage struct {
		clientHead
		Professionals []client.Professional
	}
	medicalPage struct {
		clientHead
		Entries []client.MedicalEntry
	}
	medicationPage struct {
		clientHead
		Medications []client.Medication
	}
	plansPage struct {
		clientHead
		Plans          []client.CarePlan
		Communications []client.Communication
	}
	alarmsPage struct {
		clientHead
		Alarms []client.Alarm
		Older  string // the cursor of the next page; empty at the end
		Begun  bool   // this is not the first page
	}
)

// read fills list from one of the client's children.
func read[T any](list *[]T, head *clientHead, from func(context.Context, *pg.Tx, client.ID) ([]T, error)) func(context.Context, *pg.Tx) error {
	return func(ctx context.Context, tx *pg.Tx) (err error) {
		*list, err = from(ctx, tx, head.Client.ID)
		return err
	}
}

func (s *Server) clientProperties(w http.ResponseWriter, r *http.Request) error {
	page := propertiesPage{}
	return s.showClient(w, r, http.StatusOK, "client-properties", &page, "properties", read(&page.Properties, &page.clientHead, client.Properties))
}

func (s *Server) clientKin(w http.ResponseWriter, r *http.Request) error {
	page := kinPage{}
	return s.showClient(w, r, http.StatusOK, "client-kin", &page, "kin", read(&page.Kin, &page.clientHead, client.NextOfKin))
}

func (s *Server) clientProfessionals(w http.ResponseWriter, r *http.Request) error {
	page := professionalsPage{}
	return s.showClient(w, r, http.StatusOK, "client-professionals", &page, "professionals", read(&page.Professionals, &page.clientHead, client.Professionals))
}

func (s *Server) clientMedical(w http.ResponseWriter, r *http.Request) error {
	page := medicalPage{}
	return s.showClient(w, r, http.StatusOK, "client-medical", &page, "medical", read(&page.Entries, &page.clientHead, client.Medical))
}

func (s *Server) clientMedication(w http.ResponseWriter, r *http.Request) error {
	page := medicationPage{}
	return s.showClient(w, r, http.StatusOK, "client-medication", &page, "medication", read(&page.Medications, &page.clientHead, client.Medications))
}

func (s *Server) clientPlans(w http.ResponseWriter, r *http.Request) error {
	page := plansPage{}
	return s.showClient(w, r, http.StatusOK, "client-plans", &page, "plans", func(ctx context.Context, tx *pg.Tx) (err error) {
		if page.Plans, err = client.CarePlans(ctx, tx, page.Client.ID); err != nil {
			return err
		}
		page.Communications, err = client.Communications(ctx, tx, page.Client.ID)
		return err
	})
}

const alarmsPerPage = 50

func (s *Server) clientAlarms(w http.ResponseWriter, r *http.Request) error {
	before, err := client.ParseEventCursor(r.URL.Query().Get("eldre"))
	if err != nil {
		return err
	}
	page := alarmsPage{Begun: !before.At.IsZero()}
	return s.showClient(w, r, http.StatusOK, "client-alarms", &page, "alarms", func(ctx context.Context, tx *pg.Tx) (err error) {
		page.Alarms, err = client.Alarms(ctx, tx, page.Client.ID, before, alarmsPerPage+1)
		if len(page.Alarms) > alarmsPerPage {
			page.Alarms = page.Alarms[:alarmsPerPage]
			page.Older = page.Alarms[alarmsPerPage-1].Cursor().String()
		}
		return err
	})
}
