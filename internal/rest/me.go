package rest

import (
	"context"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/municipality"
	"github.com/frist-app/frist/internal/pg"
)

// ReadMe tells the caller who they are.
func (s *Server) ReadMe(ctx context.Context, _ ReadMeRequestObject) (ReadMeResponseObject, error) {
	caller := callerOf(ctx)
	me := Me{
		Name: caller.Name, StaffNumber: caller.StaffNumber, Roles: list(caller.Roles, func(r access.Role) Role { return Role(r) }),
		Permissions: permissions(caller), KeyDecides: caller.KeyDecides,
	}
	if caller.Municipality != 0 {
		err := s.in(ctx, func(tx *pg.Tx) error {
			m, err := municipality.Current(ctx, tx)
			me.Municipality = &Municipality{Number: m.Number, Name: m.Name}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return ReadMe200JSONResponse(me), nil
}

// permissions are what the caller may do with this key, in the role table's order.
func permissions(caller access.Caller) []string {
	may := []string{}
	seen := map[access.Permission]bool{}
	for _, grant := range access.Table {
		for _, p := range grant.Permissions {
			if !seen[p] && caller.Can(p) {
				may = append(may, string(p))
			}
			seen[p] = true
		}
	}
	return may
}
