package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
)

func (a *API) profileRoutes() []Route {
	return []Route{
		{http.MethodPut, "/metadata/user/{user}", AppOrSelf, a.setAttributes},
		{http.MethodGet, "/metadata/user/{user}", AnyToken, a.getAttributes},
		{http.MethodPost, "/metadata/user/get", AnyToken, a.getManyAttributes},
		{http.MethodDelete, "/metadata/user/{user}", AppToken, a.dropAttributes},
		{http.MethodGet, "/metadata/user/capacity", AppToken, a.attributeBytes},
	}
}

// readForm reads pairs as clients write them. The web client escapes the values of some of its calls and not those of
// others, so what is no escape stays as it is; and it never writes a blank as +, which backends do.
func readForm(text string, plus bool) map[string]string {
	pairs := map[string]string{}
	plain := func(s string) string {
		if plus {
			s = strings.ReplaceAll(s, "+", " ")
		}
		if unescaped, err := url.PathUnescape(s); err == nil {
			return unescaped
		}
		return s
	}
	for pair := range strings.SplitSeq(text, "&") {
		if key, value, _ := strings.Cut(pair, "="); key != "" {
			pairs[plain(key)] = plain(value)
		}
	}
	return pairs
}

// setAttributes takes a form, as the SDKs send it, or a JSON object of texts.
func (a *API) setAttributes(ctx context.Context, c *Call) (Answer, error) {
	text, err := c.Text()
	if err != nil {
		return Answer{}, err
	}
	var pairs map[string]string
	if bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) {
		if err := checkJSON(text); err != nil {
			return Answer{}, err
		}
		if json.Unmarshal(text, &pairs) != nil {
			return Answer{}, refuseBody
		}
	} else {
		pairs = readForm(string(text), c.Who.App)
	}
	user, err := a.target(ctx, c)
	if err != nil {
		return Answer{}, err
	}
	all, err := a.accounts.SetAttributes(ctx, c.App, user, pairs)
	return Answer{Data: all}, err
}

func (a *API) getAttributes(ctx context.Context, c *Call) (Answer, error) {
	name := c.Value("user")
	found, err := a.accounts.Attributes(ctx, c.App, []string{name}, nil)
	return Answer{Data: found[name]}, err
}

func (a *API) getManyAttributes(ctx context.Context, c *Call) (Answer, error) {
	var in struct {
		Targets    []string `json:"targets"`
		Properties []string `json:"properties"`
	}
	if err := c.Decode(&in); err != nil {
		return Answer{}, err
	}
	if in.Targets == nil {
		return Answer{}, refuseBody
	}
	found, err := a.accounts.Attributes(ctx, c.App, in.Targets, in.Properties)
	return Answer{Data: found}, err
}

func (a *API) dropAttributes(ctx context.Context, c *Call) (Answer, error) {
	return Answer{Data: true}, a.accounts.DropAttributes(ctx, c.App, c.User())
}

func (a *API) attributeBytes(ctx context.Context, c *Call) (Answer, error) {
	n, err := a.accounts.AttributeBytes(ctx, c.App)
	return Answer{Data: n}, err
}
