"""one.py SPEC SEED [images=..] [rate=..] [out=DIR]: trains one model by the production code and appends to the log."""
import sys,json,time,torch,dataclasses,os
torch.set_num_threads(1)
from pathlib import Path
from explorer.lab.networks import LabModel
from explorer.models.spec import ModelSpec
from explorer.lab.training import train,recipe_of
spec,seed=sys.argv[1],int(sys.argv[2]); kw=dict(a.split('=',1) for a in sys.argv[3:]); note=kw.pop('note','')
m=LabModel.of(ModelSpec.parse(spec)); r=recipe_of(m)
dist=json.loads(kw.pop('dist','{}'))
r=dataclasses.replace(r,**{k:type(getattr(r,k))(v) for k,v in kw.items()},distribution=dataclasses.replace(r.distribution,**{k:tuple(v) if isinstance(v,list) else v for k,v in dist.items()}))
out=Path('/tmp/l13/runs')/f"{int(time.time())}"
t=time.time(); last=[0]
def tell(p):
    if p.step%250==0: print(spec,p.step,p.steps,round(p.loss,3),f'{time.time()-t:.0f}s',flush=True)
rec=train(m,seed,out,r,'cpu',tell,Path('/tmp/l13/pool'))
row=dict(spec=spec,seed=seed,note=note,images=r.images,rate=r.rate,cpu=rec['cpu_seconds'],wall=rec['seconds'],loss=round(rec['loss'],3),params=rec['parameters'],dist=dist,acc={k:round(100*v,1) if k!='centre error' else round(v,2) for k,v in rec['accuracy'].items()},dir=str(out))
open('/tmp/l13/log.jsonl','a').write(json.dumps(row)+'\n'); print(json.dumps(row),flush=True)
