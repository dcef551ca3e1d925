"""A GraphQL schema, for `strawberry dev`."""

import strawberry


@strawberry.type
class Query:
    @strawberry.field
    def answer(self) -> int:
        return 42


schema = strawberry.Schema(Query)
