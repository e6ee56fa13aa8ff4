// The key word table and its search.
#include "host/sql/lex.h"

const struct mr_keyword_info mr_keywords[MR_KW_COUNT] = {
	[MR_NO_KEYWORD] = {"", MR_KW_UNRESERVED, true},
#define KW(id, text, class, bare) [MR_KW_##id] = {text, MR_KW_##class, bare},
#include "host/sql/keywords.def"
#undef KW
};

enum mr_keyword mr_keyword_find(const char *word)
{
	unsigned low = MR_NO_KEYWORD + 1;
	unsigned high = MR_KW_COUNT;

	while (low < high) {
		unsigned mid = (low + high) / 2;
		int c = strcmp(word, mr_keywords[mid].text);

		if (c == 0)
			return (enum mr_keyword)mid;
		if (c < 0)
			high = mid;
		else
			low = mid + 1;
	}
	return MR_NO_KEYWORD;
}
