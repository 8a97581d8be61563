package rest

import (
	"context"
	"net/http"
)

func (a *API) translationRoutes() []Route {
	return []Route{
		{http.MethodGet, "/users/{user}/translate/support/language", AppOrSelf, a.languages},
		{http.MethodPost, "/users/{user}/translate", AppOrSelf, a.translate},
		{http.MethodGet, "/translate/support/language", AppToken, a.languages},
		{http.MethodPost, "/translate", AppToken, a.translate},
	}
}

func (a *API) languages(ctx context.Context, c *Call) (Answer, error) {
	languages, err := a.messages.Languages(ctx, c.App)
	if err != nil {
		return Answer{}, err
	}
	type row struct {
		Code       string `json:"code"`
		Name       string `json:"name"`
		NativeName string `json:"nativeName"`
	}
	rows := []row{}
	for _, l := range languages {
		rows = append(rows, row(l))
	}
	return Answer{Data: rows}, nil
}

// translate answers with a list of one: the web client reads its first element.
func (a *API) translate(ctx context.Context, c *Call) (Answer, error) {
	var in struct {
		Text string   `json:"text"`
		To   []string `json:"to"`
	}
	if err := c.Decode(&in); err != nil {
		return Answer{}, err
	}
	if in.Text == "" {
		return Answer{}, refuseBody
	}
	t, err := a.messages.Translate(ctx, c.App, in.Text, in.To)
	if err != nil {
		return Answer{}, err
	}
	type row struct {
		Text string `json:"text"`
		To   string `json:"to"`
	}
	rows := []row{}
	for i, text := range t.Texts {
		rows = append(rows, row{text, in.To[i]})
	}
	return Answer{Data: []map[string]any{{
		"detectedLanguage": map[string]any{"language": t.Language, "score": t.Score},
		"translations":     rows,
	}}}, nil
}
