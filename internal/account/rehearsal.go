package account

import "github.com/stoa-chat/stoa/errcode"

// narrowings make situations of which the rules then speak for themselves.
var narrowings = map[errcode.Code]func(*Settings){
	errcode.MessageTooLarge: func(s *Settings) { s.MessageMaxBytes = 1 },
	errcode.RecallTimeLimit: func(s *Settings) { s.RecallSeconds = -1 },
	errcode.UploadFailed:    func(s *Settings) { s.FileMaxBytes = 1 },
	errcode.ServiceNotEnabled: func(s *Settings) {
		for _, service := range []*bool{&s.Recall, &s.Edit, &s.Reactions, &s.Pins, &s.Reports, &s.Translation, &s.GroupReceipts, &s.History,
			&s.ConversationList, &s.Search, &s.Presence, &s.Push, &s.UserAttributes, &s.RTCTokens, &s.GroupMemberAttributes, &s.RoomAttributes} {
			*service = false
		}
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

// AppFor returns the application with the settings that SettingsFor gives.
func (a *Service) AppFor(app *App, user int64) *App {
	if len(a.Rehearsals.Codes(user)) == 0 {
		return app
	}
	return &App{App: app.App, Settings: a.SettingsFor(app, user)}
}
