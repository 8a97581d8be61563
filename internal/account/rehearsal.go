package account

import "github.com/stoa-chat/stoa/errcode"

// narrowings make a situation of which the rules then speak for themselves.
var narrowings = map[errcode.Code]func(*Settings){
	errcode.MessageTooLarge: func(s *Settings) { s.MessageMaxBytes = 1 },
	errcode.RecallTimeLimit: func(s *Settings) { s.RecallSeconds = -1 }, // what is sent just now is too old
	errcode.ServiceNotEnabled: func(s *Settings) {
		s.Recall, s.Edit = false, false
	},
}

// SettingsFor returns the settings of now as they are for one user: those of the application, unless the user rehearses
// a code that comes of narrower ones.
func (a *Service) SettingsFor(app *App, user int64) Settings {
	settings := a.Current(app).Settings
	for _, code := range a.Rehearsals.Codes(user) {
		if narrow := narrowings[code]; narrow != nil {
			narrow(&settings)
		}
	}
	return settings
}
