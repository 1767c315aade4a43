"""What holds where the other side calls us."""

import asyncio
from itertools import islice

from connectors.base import ConnectorError, Rejected, Retryable, Unauthorised
from schemas.exchange import Request, Response
from tests.conformance import mutating
from tests.conformance.harness import Sample
from tests.conformance.rules.registry import rule
from tests.conformance.stage import Broken, Life, Scene, Stage, require

SPOILT_BODIES = 150
NO_ANSWER = Retryable("the database doesn't answer (so it is to be)")


def samples(scene: Scene) -> list[Sample]:
    """One for each endpoint. Raises Broken if there are others."""
    receiver = scene.stage.subject.kind.receiver
    assert receiver is not None
    found = list(scene.world.samples())
    declared = sorted(endpoint.name for endpoint in receiver.endpoints)
    require(declared, "a receiver without endpoints")
    named = sorted({sample.endpoint for sample in found})
    require(named == declared, f"the endpoints are {declared}, the world's samples are of {named}")
    return found


def _status(scene: Scene, sample: Sample) -> int:
    receiver = scene.stage.subject.kind.receiver
    assert receiver is not None
    return next(endpoint.status for endpoint in receiver.endpoints if endpoint.name == sample.endpoint)


def _is_well(answer: Response | ConnectorError) -> bool:
    return isinstance(answer, Response) and 200 <= answer.status < 300


async def call(life: Life, request: Request) -> Response | Exception:
    """What the receiver answers, or raises."""
    try:
        async with asyncio.timeout(life.patience):
            return await life.receiver().receive(request)
    except Exception as error:
        return error


async def answer(life: Life, request: Request) -> Response | ConnectorError:
    """What the receiver answers, or raises for the API to tell. Raises Broken for any other exception."""
    told = await call(life, request)
    if isinstance(told, Response | ConnectorError):
        return told
    raise Broken(f"{request.endpoint}, {request.body[:200]!r}: {told!r}") from told


@rule(receiving=True)
async def receiver_answers_after_the_ack(stage: Stage) -> None:
    """A call is answered 2xx only when Kafka, or the database, has what it said: while they don't take it the caller
    hears so and calls again. Who was told 2xx forgets what he had to say."""
    async with stage.scene("hook") as scene:
        for sample in samples(scene):
            if sample.takes:
                await _waits(scene, sample)
            life = await scene.life()
            told = await answer(life, sample.request(sample.body))
            status = _status(scene, sample)
            require(
                isinstance(told, Response) and told.status == status,
                f"{sample.endpoint}: a good call is to be answered {status}, it is {told!r}",
            )
            require(not sample.takes or life.watch.writes, f"{sample.endpoint}: a good call leads to nothing")


async def _waits(scene: Scene, sample: Sample) -> None:
    life = await scene.life()
    life.watch.before = _refuse
    life.watch.refuse_writes = NO_ANSWER
    told = await answer(life, sample.request(sample.body))
    require(
        life.watch.writes or not _is_well(told),
        f"{sample.endpoint} is answered {told!r}, and nothing was published or written; does it take anything?",
    )
    require(not _is_well(told), f"{sample.endpoint} is answered {told!r}, though nobody took what it said")
    again = isinstance(told, Retryable) or (isinstance(told, Response) and told.status >= 500)
    require(again, f"{sample.endpoint}: while Kafka is away the caller is to call again, he hears {told!r}")


async def _refuse(_: object) -> None:
    raise NO_ANSWER


@rule(receiving=True)
async def receiver_admits_whom_it_knows(stage: Stage) -> None:
    """A call with a wrong signature or token, or none, is refused, and nothing of it is kept."""
    receiver = stage.subject.kind.receiver
    assert receiver is not None
    scopes = {endpoint.name: endpoint.scope for endpoint in receiver.endpoints}
    async with stage.scene("forged") as scene:
        for sample in samples(scene):
            if sample.forged is None:
                protected = scopes[sample.endpoint] is not None
                require(protected, f"{sample.endpoint} asks for no hub key: give the world a forged request")
                continue
            life = await scene.life()
            told = await answer(life, sample.forged)
            refused = isinstance(told, Unauthorised | Rejected) or (
                isinstance(told, Response) and told.status in (401, 403, 404)
            )
            require(refused, f"{sample.endpoint}: a forged call is answered {told!r}")
            require(not life.watch.published, f"{sample.endpoint}: of a forged call something is published")


@rule(receiving=True)
async def receiver_survives_anything(stage: Stage) -> None:
    """Whatever a caller who is admitted sends, it is answered or refused: never another exception, which would be a
    500 that an honest caller repeats for ever."""
    async with stage.scene("spoilt") as scene:
        for sample in samples(scene):
            for body in _bodies(sample.body):
                told = await answer(await scene.life(), sample.request(body))
                require(
                    not isinstance(told, Response) or told.status < 500,
                    f"{sample.endpoint}, {body[:200]!r}: {told!r}",
                )


def _bodies(body: bytes) -> list[bytes]:
    every = [spoilt for _, spoilt in mutating.mutations(body)]
    step = max(len(every) // SPOILT_BODIES, 1)
    return list(islice(every, 0, None, step))
