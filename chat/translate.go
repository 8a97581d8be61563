package chat

import (
	"context"
	"net/http"
	"strings"

	"github.com/stoa-chat/stoa/errcode"
)

// Language is a language that texts can be translated to.
type Language struct {
	Code       string `json:"code"` // as "fr"
	Name       string `json:"name"` // in English
	NativeName string `json:"nativeName"`
}

// Languages returns the languages that the server translates to. For the errors see [Client.Translate].
func (c *Client) Languages(ctx context.Context) ([]Language, error) {
	var answer struct {
		Data []Language `json:"data"`
	}
	err := c.get(ctx, "languages", &answer, nil, "users", me, "translate", "support", "language")
	return answer.Data, err
}

// Translate translates a text into languages, by their codes.
//
// It returns 700 (wrapping 28) without a session, 1200 for a language that is not known, 1201 for a text that is too long,
// 1204 when the translation fails, -3 for no text or no language, 505 when the server has no translator, 52 when it does not accept the token any more,
// and the codes of a failed request: 17, 500, -1, -2, -4.
func (c *Client) Translate(ctx context.Context, text string, languages ...string) ([]Translation, error) {
	translations, err := c.translate(ctx, text, languages)
	return translations, asError(err)
}

func (c *Client) translate(ctx context.Context, text string, languages []string) ([]Translation, *Error) {
	const op = "translate"
	if strings.TrimSpace(text) == "" || len(languages) == 0 {
		return nil, fail(errcode.InvalidParameter, op, "there is no text or no language", nil)
	}
	var answer struct {
		Data []struct {
			Translations []struct {
				Text string `json:"text"`
				To   string `json:"to"`
			} `json:"translations"`
		} `json:"data"`
	}
	err := c.doCall(ctx, call{op: op, method: http.MethodPost, path: []string{"users", me, "translate"},
		in: map[string]any{"text": text, "to": languages}, out: &answer})
	if err != nil {
		return nil, err
	}
	var translations []Translation
	for _, row := range answer.Data {
		for _, t := range row.Translations {
			translations = append(translations, Translation{Language: t.To, Text: t.Text})
		}
	}
	return translations, nil
}
