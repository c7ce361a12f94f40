import torch,time
torch.set_num_threads(1)
from explorer import scenes
print(scenes.__file__)
d=scenes.draw(1,torch.arange(1024)); scenes.render(d[:64],48)
for k in range(2):
    t=time.process_time(); scenes.render(d,48); print('render/s',1024/(time.process_time()-t))
