"""The search index of the web store."""

from engine.sdk import Context
from loads.pace import work

SECONDS_PER_PRODUCT = 0.005
TERMS_PER_PRODUCT = 17


def rebuild(ctx: Context, products, batch):
    """Batch after batch. `save` returns when the engine has the checkpoint on disk: what lies before is done."""
    done = (ctx.checkpoint.load() or {"done": 0})["done"]
    if done:
        ctx.log.info("An earlier attempt got to product %s; going on from there.", done)
    began_at = done
    while done < products:
        step = min(batch, products - done)
        work(step * SECONDS_PER_PRODUCT)
        done += step
        ctx.checkpoint.save({"done": done})
        ctx.progress(done, products, "products")
        ctx.metric("terms", done * TERMS_PER_PRODUCT)
    return {"indexed": done, "began_at": began_at}
